//! The table of all keywords of ssh_config(5), with the form of the value and the support of each.

/// Form of a keyword's arguments. It is checked for all keywords, also for those that have no effect here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ArgumentShape {
    /// `yes` or `no`, `true` or `false`.
    Flag,
    /// One of these words, in upper or lower case. `true` means `yes` and `false` means `no`.
    Choice(&'static [&'static str]),
    /// A number, 0 or more.
    Number,
    /// A port number, not 0.
    Port,
    /// A time with units. `none` sets nothing.
    Time,
    /// One word.
    Word,
    /// One word, or a variable with the word.
    Socket,
    /// Words. `none` must be the only one.
    Words,
    /// The rest of the line, unchanged.
    Command,
    /// Jump hosts.
    Jumps,
    /// Names of algorithms.
    Algorithms,
    /// Patterns of environment variables.
    Variables,
    /// Environment variables with their values.
    Assignments,
    /// Anything. The value is not used.
    Any,
    /// The start of a block or an include. The keyword has no value.
    Structure,
}

/// Support of a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeywordSupport {
    /// The keyword has the same effect as in ssh, or it changes the effect of another keyword.
    Supported,
    /// The keyword has no effect on a command that has no terminal and forwards nothing.
    Irrelevant,
    /// The keyword is ignored with a notice, except for these values. The text is the reason in the notice.
    Ignored(&'static [&'static str], &'static str),
    /// The keyword would change the trusted keys or the connection. It is an error, except for these values.
    Unsupported(&'static [&'static str]),
    /// The keyword is obsolete and ssh ignores it too.
    Obsolete,
}

/// A row of the table.
#[derive(Debug)]
pub(super) struct KeywordInfo {
    /// The keyword. Its number is the index of the row.
    pub(super) keyword: Keyword,
    /// The name, as in the manual.
    pub(super) name: &'static str,
    /// Form of the arguments.
    pub(super) shape: ArgumentShape,
    /// Support of the keyword.
    pub(super) support: KeywordSupport,
}

macro_rules! keywords {
    ($($name:ident $shape:expr, $support:expr;)*) => {
        /// A keyword. Its number is its index in [`TABLE`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(super) enum Keyword { $(
            #[doc = concat!("`", stringify!($name), "`.")]
            $name,
        )* }

        /// All keywords in the order of the manual, then the obsolete ones.
        pub(super) const TABLE: &[KeywordInfo] = &[$(KeywordInfo {
            keyword: Keyword::$name,
            name: stringify!($name),
            shape: $shape,
            support: $support,
        }),*];
    };
}

use ArgumentShape::{
    Algorithms, Any, Assignments, Choice, Command, Flag, Jumps, Number, Port, Socket, Structure,
    Time, Variables, Word, Words,
};
use KeywordSupport::{Ignored, Irrelevant, Obsolete, Supported, Unsupported};

const YES_NO_ASK: ArgumentShape = Choice(&["yes", "no", "ask"]);

keywords! {
    Host Structure, Supported;
    Match Structure, Supported;
    AddKeysToAgent Any, Ignored(&["no", "false"], "keys are not added to the agent");
    AddressFamily Choice(&["any", "inet", "inet6"]), Supported;
    BatchMode Flag, Supported;
    // Without these, the connection would come from another address.
    BindAddress Word, Unsupported(&[]);
    BindInterface Word, Unsupported(&[]);
    CanonicalDomains Words, Irrelevant;
    CanonicalizeFallbackLocal Flag, Irrelevant;
    // The canonical name decides which keys are trusted.
    CanonicalizeHostname Choice(&["yes", "no", "always"]), Unsupported(&["no"]);
    CanonicalizeMaxDots Number, Irrelevant;
    CanonicalizePermittedCNAMEs Any, Irrelevant;
    CASignatureAlgorithms Algorithms, Supported;
    CertificateFile Word, Supported;
    CheckHostIP Flag, Supported;
    Ciphers Algorithms, Supported;
    ClearAllForwardings Flag, Supported;
    Compression Flag, Supported;
    ConnectionAttempts Number, Ignored(&["1"], "failed connections are not repeated");
    ConnectTimeout Time, Supported;
    ControlMaster Choice(&["yes", "no", "ask", "auto", "autoask"]), Ignored(&["no"], CONTROL);
    ControlPath Word, Ignored(&["none"], CONTROL);
    ControlPersist Any, Irrelevant;
    DynamicForward Any, Ignored(&[], FORWARD);
    EnableEscapeCommandline Flag, Irrelevant;
    EnableSSHKeysign Flag, Irrelevant;
    EscapeChar Any, Irrelevant;
    ExitOnForwardFailure Flag, Irrelevant;
    FingerprintHash Word, Irrelevant;
    ForkAfterAuthentication Flag, Ignored(&["no"], "there is nothing to put into the background");
    // A command may need the agent, so a notice would not be enough.
    ForwardAgent Socket, Unsupported(&["no", "false"]);
    ForwardX11 Flag, Ignored(&["no"], "X11 is not forwarded");
    ForwardX11Timeout Time, Irrelevant;
    ForwardX11Trusted Flag, Irrelevant;
    GatewayPorts Flag, Irrelevant;
    GlobalKnownHostsFile Words, Supported;
    GSSAPIAuthentication Flag, Ignored(&["no"], "there is no GSSAPI");
    GSSAPIClientIdentity Word, Irrelevant;
    GSSAPIDelegateCredentials Flag, Ignored(&["no"], "there is no GSSAPI");
    GSSAPIKeyExchange Flag, Ignored(&["no"], "the host key is checked instead");
    GSSAPIRenewalForcesRekey Flag, Irrelevant;
    GSSAPIServerIdentity Word, Irrelevant;
    GSSAPITrustDns Flag, Irrelevant;
    GSSAPIKexAlgorithms Word, Irrelevant;
    HashKnownHosts Flag, Supported;
    HostbasedAcceptedAlgorithms Algorithms, Irrelevant;
    HostbasedAuthentication Flag, Ignored(&["no"], "there is no host-based authentication");
    HostKeyAlgorithms Algorithms, Supported;
    HostKeyAlias Word, Supported;
    Hostname Word, Supported;
    IdentitiesOnly Flag, Supported;
    IdentityAgent Socket, Supported;
    IdentityFile Word, Supported;
    IgnoreUnknown Word, Supported;
    Include Structure, Supported;
    IPQoS Any, Ignored(&[], "packets are not marked");
    KbdInteractiveAuthentication Flag, Supported;
    KbdInteractiveDevices Word, Ignored(&[], "the server chooses");
    KexAlgorithms Algorithms, Supported;
    // No command is run, and this one would decide which keys are trusted.
    KnownHostsCommand Command, Unsupported(&["none"]);
    LocalCommand Command, Supported;
    LocalForward Any, Ignored(&[], FORWARD);
    LogLevel Choice(LEVELS), Irrelevant;
    LogVerbose Words, Irrelevant;
    MACs Algorithms, Supported;
    NoHostAuthenticationForLocalhost Flag, Ignored(&["no"], "the keys of this machine are checked, too");
    NumberOfPasswordPrompts Number, Ignored(&["3"], "a password is asked for once, a passphrase three times");
    PasswordAuthentication Flag, Supported;
    PermitLocalCommand Flag, Supported;
    PermitRemoteOpen Any, Irrelevant;
    // Without the provider, the login would lack its keys.
    PKCS11Provider Word, Unsupported(&["none"]);
    Port Port, Supported;
    PreferredAuthentications Word, Supported;
    ProxyCommand Command, Unsupported(&["none"]);
    ProxyJump Jumps, Supported;
    ProxyUseFdpass Flag, Irrelevant;
    PubkeyAcceptedAlgorithms Algorithms, Supported;
    PubkeyAuthentication Choice(&["yes", "no", "unbound", "host-bound"]), Supported;
    RekeyLimit Any, Ignored(&["default"], "the server decides when keys are renewed");
    // The caller has a command of its own.
    RemoteCommand Command, Unsupported(&["none"]);
    RemoteForward Any, Ignored(&[], FORWARD);
    RequestTTY Choice(&["yes", "no", "force", "auto"]), Ignored(&["no", "auto"], "commands have no terminal");
    RequiredRSASize Number, Supported;
    RevokedHostKeys Word, Supported;
    SecurityKeyProvider Word, Unsupported(&["none", "internal"]);
    SendEnv Variables, Supported;
    ServerAliveCountMax Number, Supported;
    ServerAliveInterval Time, Supported;
    // Other types of session run no command.
    SessionType Choice(&["none", "subsystem", "default"]), Unsupported(&["default"]);
    SetEnv Assignments, Supported;
    StdinNull Flag, Irrelevant;
    StreamLocalBindMask Any, Irrelevant;
    StreamLocalBindUnlink Flag, Irrelevant;
    StrictHostKeyChecking Choice(&["yes", "no", "ask", "off", "accept-new"]), Supported;
    SyslogFacility Word, Irrelevant;
    TCPKeepAlive Flag, Supported;
    Tunnel Choice(&["yes", "no", "point-to-point", "ethernet"]), Ignored(&["no"], "there are no tunnels");
    TunnelDevice Word, Irrelevant;
    UpdateHostKeys YES_NO_ASK, Irrelevant;
    User Word, Supported;
    UserKnownHostsFile Words, Supported;
    // With `yes`, ssh trusts a key from the DNS without a question.
    VerifyHostKeyDNS YES_NO_ASK, Unsupported(&["no", "ask"]);
    VisualHostKey Flag, Irrelevant;
    XAuthLocation Word, Irrelevant;
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

/// Reason why shared connections are ignored.
const CONTROL: &str = "each host has a connection of its own";
/// Reason why forwardings are ignored.
const FORWARD: &str = "nothing is forwarded";

const LEVELS: &[&str] = &[
    "quiet", "fatal", "error", "info", "verbose", "debug", "debug1", "debug2", "debug3",
];

/// Other names of keywords, in lower case. The last two are Debian's.
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

/// Keywords of later releases that have no effect here, in lower case. Files for such releases can be read. Other new
/// keywords are unknown, as for OpenSSH 9.2.
pub(super) const LATER: [&str; 4] = [
    "channeltimeout",
    "obscurekeystroketiming",
    "versionaddendum",
    "warnweakcrypto",
];

impl Keyword {
    /// Finds a keyword by its name in lower case.
    pub(super) fn named(name: &str) -> Option<Keyword> {
        let row = TABLE.iter().find(|row| row.name.eq_ignore_ascii_case(name));
        let alias = || ALIASES.iter().find(|(alias, _)| *alias == name);
        match row {
            Some(row) => Some(row.keyword),
            None => alias().map(|(_, keyword)| *keyword),
        }
    }

    /// The keyword's row of the table.
    pub(super) fn info(self) -> &'static KeywordInfo {
        &TABLE[self as usize]
    }
}
