//! Every keyword of ssh_config(5), in one table: what its value looks like, and what is made of it here.

/// What a keyword's arguments are. Decides what is an error, whether a keyword is honoured or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `yes` or `no`, `true` or `false`.
    Flag,
    /// One of these words, in letters of any case; `true` stands for `yes`, `false` for `no`.
    Choice(&'static [&'static str]),
    /// A whole number.
    Number,
    /// The number of a port, not 0.
    Port,
    /// A time with units, or `none`, which sets nothing.
    Time,
    /// One word.
    Word,
    /// One word, or the name of a variable that holds it.
    Socket,
    /// Words; `none` must be alone.
    Words,
    /// The rest of the line as it stands.
    Command,
    /// Hosts on the way.
    Jumps,
    /// Names of algorithms.
    Algorithms,
    /// Patterns of environment variables.
    Variables,
    /// Environment variables with their values.
    Assignments,
    /// Anything: nothing hangs on it.
    Any,
    /// The start of a block, or other files: no value at all.
    Structure,
}

/// What is made of a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Treatment {
    /// It does what it does in ssh, or it is read together with another one.
    Honoured,
    /// It has no bearing on a command that runs without a terminal and forwards nothing.
    Harmless,
    /// It is not done, which is told once unless the value is one of these: the words follow "ignored: ".
    Noted(&'static [&'static str], &'static str),
    /// It would change who is trusted or how the host is reached: refused unless the value is one of
    /// these.
    Refused(&'static [&'static str]),
    /// ssh ignores it, too.
    Obsolete,
}

/// One keyword.
#[derive(Debug)]
pub(super) struct Row {
    /// Its place in the table.
    pub(super) keyword: Keyword,
    /// As the manual spells it.
    pub(super) name: &'static str,
    /// What its arguments are.
    pub(super) shape: Shape,
    /// What is made of it.
    pub(super) treatment: Treatment,
}

macro_rules! keywords {
    ($($name:ident $shape:expr, $treatment:expr;)*) => {
        /// A keyword, by its place in [`TABLE`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(super) enum Keyword { $(
            #[doc = concat!("`", stringify!($name), "`.")]
            $name,
        )* }

        /// All keywords, in the manual's order, then those that are obsolete.
        pub(super) const TABLE: &[Row] = &[$(Row {
            keyword: Keyword::$name,
            name: stringify!($name),
            shape: $shape,
            treatment: $treatment,
        }),*];
    };
}

use Shape::{
    Algorithms, Any, Assignments, Choice, Command, Flag, Jumps, Number, Port, Socket, Structure,
    Time, Variables, Word, Words,
};
use Treatment::{Harmless, Honoured, Noted, Obsolete, Refused};

const YES_NO_ASK: Shape = Choice(&["yes", "no", "ask"]);

keywords! {
    Host Structure, Honoured;
    Match Structure, Honoured;
    AddKeysToAgent Any, Noted(&["no", "false"], "keys are not added to the agent");
    AddressFamily Choice(&["any", "inet", "inet6"]), Honoured;
    BatchMode Flag, Honoured;
    BindAddress Word, Refused(&[]);
    BindInterface Word, Refused(&[]);
    CanonicalDomains Words, Harmless;
    CanonicalizeFallbackLocal Flag, Harmless;
    CanonicalizeHostname Choice(&["yes", "no", "always"]), Refused(&["no"]);
    CanonicalizeMaxDots Number, Harmless;
    CanonicalizePermittedCNAMEs Any, Harmless;
    CASignatureAlgorithms Algorithms, Honoured;
    CertificateFile Word, Honoured;
    CheckHostIP Flag, Honoured;
    Ciphers Algorithms, Honoured;
    ClearAllForwardings Flag, Honoured;
    Compression Flag, Honoured;
    ConnectionAttempts Number, Noted(&["1"], "--retries N tries failed hosts again");
    ConnectTimeout Time, Honoured;
    ControlMaster Choice(&["yes", "no", "ask", "auto", "autoask"]), Noted(&["no"], CONTROL);
    ControlPath Word, Noted(&["none"], CONTROL);
    ControlPersist Any, Harmless;
    DynamicForward Any, Noted(&[], FORWARD);
    EnableEscapeCommandline Flag, Harmless;
    EnableSSHKeysign Flag, Harmless;
    EscapeChar Any, Harmless;
    ExitOnForwardFailure Flag, Harmless;
    FingerprintHash Word, Harmless;
    ForkAfterAuthentication Flag, Noted(&["no"], "there is nothing to put into the background");
    ForwardAgent Socket, Refused(&["no", "false"]);
    ForwardX11 Flag, Noted(&["no"], "X11 is not forwarded");
    ForwardX11Timeout Time, Harmless;
    ForwardX11Trusted Flag, Harmless;
    GatewayPorts Flag, Harmless;
    GlobalKnownHostsFile Words, Honoured;
    GSSAPIAuthentication Flag, Noted(&["no"], "there is no GSSAPI; -R openssh has it");
    GSSAPIClientIdentity Word, Harmless;
    GSSAPIDelegateCredentials Flag, Noted(&["no"], "there is no GSSAPI; -R openssh has it");
    GSSAPIKeyExchange Flag, Noted(&["no"], "the host key is checked instead");
    GSSAPIRenewalForcesRekey Flag, Harmless;
    GSSAPIServerIdentity Word, Harmless;
    GSSAPITrustDns Flag, Harmless;
    GSSAPIKexAlgorithms Word, Harmless;
    HashKnownHosts Flag, Honoured;
    HostbasedAcceptedAlgorithms Algorithms, Harmless;
    HostbasedAuthentication Flag, Noted(&["no"], "there is no host-based authentication; -R openssh has it");
    HostKeyAlgorithms Algorithms, Honoured;
    HostKeyAlias Word, Honoured;
    Hostname Word, Honoured;
    IdentitiesOnly Flag, Honoured;
    IdentityAgent Socket, Honoured;
    IdentityFile Word, Honoured;
    IgnoreUnknown Word, Honoured;
    Include Structure, Honoured;
    IPQoS Any, Noted(&[], "packets are not marked");
    KbdInteractiveAuthentication Flag, Honoured;
    KbdInteractiveDevices Word, Noted(&[], "the server chooses");
    KexAlgorithms Algorithms, Honoured;
    KnownHostsCommand Command, Refused(&["none"]);
    LocalCommand Command, Honoured;
    LocalForward Any, Noted(&[], FORWARD);
    LogLevel Choice(LEVELS), Harmless;
    LogVerbose Words, Harmless;
    MACs Algorithms, Honoured;
    NoHostAuthenticationForLocalhost Flag, Noted(&["no"], "the keys of this machine are checked, too");
    NumberOfPasswordPrompts Number, Noted(&["3"], "a password is asked for once, a passphrase three times");
    PasswordAuthentication Flag, Honoured;
    PermitLocalCommand Flag, Honoured;
    PermitRemoteOpen Any, Harmless;
    PKCS11Provider Word, Refused(&["none"]);
    Port Port, Honoured;
    PreferredAuthentications Word, Honoured;
    ProxyCommand Command, Refused(&["none"]);
    ProxyJump Jumps, Honoured;
    ProxyUseFdpass Flag, Harmless;
    PubkeyAcceptedAlgorithms Algorithms, Honoured;
    PubkeyAuthentication Choice(&["yes", "no", "unbound", "host-bound"]), Honoured;
    RekeyLimit Any, Noted(&["default"], "the server decides when keys are renewed");
    RemoteCommand Command, Refused(&["none"]);
    RemoteForward Any, Noted(&[], FORWARD);
    RequestTTY Choice(&["yes", "no", "force", "auto"]), Noted(&["no", "auto"], "commands have no terminal");
    RequiredRSASize Number, Honoured;
    RevokedHostKeys Word, Honoured;
    SecurityKeyProvider Word, Refused(&["none", "internal"]);
    SendEnv Variables, Honoured;
    ServerAliveCountMax Number, Honoured;
    ServerAliveInterval Time, Honoured;
    SessionType Choice(&["none", "subsystem", "default"]), Refused(&["default"]);
    SetEnv Assignments, Honoured;
    StdinNull Flag, Harmless;
    StreamLocalBindMask Any, Harmless;
    StreamLocalBindUnlink Flag, Harmless;
    StrictHostKeyChecking Choice(&["yes", "no", "ask", "off", "accept-new"]), Honoured;
    SyslogFacility Word, Harmless;
    TCPKeepAlive Flag, Honoured;
    Tunnel Choice(&["yes", "no", "point-to-point", "ethernet"]), Noted(&["no"], "there are no tunnels");
    TunnelDevice Word, Harmless;
    UpdateHostKeys YES_NO_ASK, Harmless;
    User Word, Honoured;
    UserKnownHostsFile Words, Honoured;
    VerifyHostKeyDNS YES_NO_ASK, Refused(&["no", "ask"]);
    VisualHostKey Flag, Harmless;
    XAuthLocation Word, Harmless;
    AFSTokenPassing Any, Obsolete;
    Cipher Any, Obsolete;
    CompressionLevel Any, Obsolete;
    FallBackToRsh Any, Obsolete;
    GlobalKnownHostsFile2 Any, Obsolete;
    KerberosAuthentication Any, Obsolete;
    KerberosTGTPassing Any, Obsolete;
    Protocol Any, Obsolete;
    RhostsAuthentication Any, Obsolete;
    RhostsRSAAuthentication Any, Obsolete;
    RSAAuthentication Any, Obsolete;
    UsePrivilegedPort Any, Obsolete;
    UserKnownHostsFile2 Any, Obsolete;
    UseRoaming Any, Obsolete;
    UseRsh Any, Obsolete;
}

/// Why the sharing of connections is left aside.
const CONTROL: &str = "each host has a connection of its own";
/// Why forwardings are left aside.
const FORWARD: &str = "nothing is forwarded";

const LEVELS: &[&str] = &[
    "quiet", "fatal", "error", "info", "verbose", "debug", "debug1", "debug2", "debug3",
];

/// Other names, in small letters. The last two are Debian's.
pub(super) const ALIASES: &[(&str, Keyword)] = &[
    (
        "challengeresponseauthentication",
        Keyword::KbdInteractiveAuthentication,
    ),
    ("skeyauthentication", Keyword::KbdInteractiveAuthentication),
    ("tisauthentication", Keyword::KbdInteractiveAuthentication),
    ("dsaauthentication", Keyword::PubkeyAuthentication),
    ("hostbasedkeytypes", Keyword::HostbasedAcceptedAlgorithms),
    ("identityfile2", Keyword::IdentityFile),
    ("keepalive", Keyword::TCPKeepAlive),
    ("pubkeyacceptedkeytypes", Keyword::PubkeyAcceptedAlgorithms),
    ("smartcarddevice", Keyword::PKCS11Provider),
    ("protocolkeepalives", Keyword::ServerAliveInterval),
    ("setuptimeout", Keyword::ServerAliveInterval),
];

/// What later releases know besides, in small letters, and what has no bearing here: the same files
/// serve them. What they have that would matter stays unknown, as for 9.2.
pub(super) const LATER: [&str; 4] = [
    "channeltimeout",
    "obscurekeystroketiming",
    "versionaddendum",
    "warnweakcrypto",
];

impl Keyword {
    /// Finds a keyword by its name in small letters.
    pub(super) fn named(name: &str) -> Option<Keyword> {
        let row = TABLE.iter().find(|row| row.name.eq_ignore_ascii_case(name));
        let alias = || ALIASES.iter().find(|(alias, _)| *alias == name);
        match row {
            Some(row) => Some(row.keyword),
            None => alias().map(|(_, keyword)| *keyword),
        }
    }

    /// All that is known of it.
    pub(super) fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }
}
