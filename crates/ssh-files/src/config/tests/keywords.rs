//! Tests of the table of keywords, and of random files.

use proptest::prelude::*;

use super::*;

/// The keywords of ssh_config(5) of OpenSSH 9.2 as Debian ships it.
const MANUAL: &str = "Host Match AddKeysToAgent AddressFamily BatchMode BindAddress BindInterface CanonicalDomains \
    CanonicalizeFallbackLocal CanonicalizeHostname CanonicalizeMaxDots CanonicalizePermittedCNAMEs \
    CASignatureAlgorithms CertificateFile CheckHostIP Ciphers ClearAllForwardings Compression \
    ConnectionAttempts ConnectTimeout ControlMaster ControlPath ControlPersist DynamicForward \
    EnableEscapeCommandline EnableSSHKeysign EscapeChar ExitOnForwardFailure FingerprintHash \
    ForkAfterAuthentication ForwardAgent ForwardX11 ForwardX11Timeout ForwardX11Trusted GatewayPorts \
    GlobalKnownHostsFile GSSAPIAuthentication GSSAPIClientIdentity GSSAPIDelegateCredentials \
    GSSAPIKeyExchange GSSAPIRenewalForcesRekey GSSAPIServerIdentity GSSAPITrustDns GSSAPIKexAlgorithms \
    HashKnownHosts HostbasedAcceptedAlgorithms HostbasedAuthentication HostKeyAlgorithms HostKeyAlias \
    Hostname IdentitiesOnly IdentityAgent IdentityFile IgnoreUnknown Include IPQoS \
    KbdInteractiveAuthentication KbdInteractiveDevices KexAlgorithms KnownHostsCommand LocalCommand \
    LocalForward LogLevel LogVerbose MACs NoHostAuthenticationForLocalhost NumberOfPasswordPrompts \
    PasswordAuthentication PermitLocalCommand PermitRemoteOpen PKCS11Provider Port \
    PreferredAuthentications ProxyCommand ProxyJump ProxyUseFdpass PubkeyAcceptedAlgorithms \
    PubkeyAuthentication RekeyLimit RemoteCommand RemoteForward RequestTTY RequiredRSASize \
    RevokedHostKeys SecurityKeyProvider SendEnv ServerAliveCountMax ServerAliveInterval SessionType \
    SetEnv StdinNull StreamLocalBindMask StreamLocalBindUnlink StrictHostKeyChecking SyslogFacility \
    TCPKeepAlive Tunnel TunnelDevice UpdateHostKeys User UserKnownHostsFile VerifyHostKeyDNS \
    VisualHostKey XAuthLocation";

#[test]
fn every_keyword_of_the_manual_is_in_the_table() {
    use crate::config::keywords::{Keyword, KeywordSupport, TABLE};
    for name in MANUAL.split_whitespace() {
        let info = Keyword::named(&name.to_ascii_lowercase())
            .unwrap_or_else(|| panic!("{name}"))
            .info();
        assert_eq!(info.name, name);
        assert_ne!(info.support, KeywordSupport::Obsolete, "{name}");
    }
    for (number, info) in TABLE.iter().enumerate() {
        assert_eq!(info.keyword as usize, number);
        let in_manual = MANUAL.split_whitespace().any(|name| name == info.name);
        assert_eq!(
            in_manual,
            info.support != KeywordSupport::Obsolete,
            "{}",
            info.name
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Every file is a configuration or gives an error on one line.
    #[test]
    fn no_file_is_too_strange(
        lines in prop::collection::vec(
            (prop::sample::select(MANUAL.split_whitespace().collect::<Vec<_>>()), "[ =]{0,2}\\PC{0,12}"),
            0..4,
        ),
        noise in "(?s).{0,40}",
        host in "\\PC{0,8}",
    ) {
        // An Include would read files of this machine.
        let lines = lines.iter().filter(|(keyword, _)| *keyword != "Include");
        let text: String = lines.map(|(keyword, rest)| format!("{keyword} {rest}\n")).collect();
        let asked = |text: &str| {
            let setup = Setup::user(text);
            match setup.load() {
                Ok(config) => config.host(&host, None, None).map(drop),
                Err(error) => Err(error),
            }
        };
        for each in [text.as_str(), noise.as_str()] {
            if let Err(error) = asked(each) {
                let text = error.to_string();
                prop_assert!(!text.is_empty() && !text.contains('\n'), "{text}");
            }
        }
    }
}
