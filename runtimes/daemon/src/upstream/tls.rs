//! TLS towards mirrors that are asked over https.

use std::fmt;
use std::io;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_rustls::client::TlsStream;
use futures_rustls::{TlsConnector, rustls};
use khashmir_apt::url::Upstream;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;
use smol::Async;
use smol::future::FutureExt as _;
use smol::lock::OnceCell;

use super::Fault;

/// Which authorities may vouch for a mirror: those that the system trusts, and those that
/// the configuration adds.
#[derive(Debug)]
pub struct Tls {
    added: Vec<CertificateDer<'static>>,
    /// Made when it is first needed: the system's authorities are many.
    config: OnceCell<Arc<ClientConfig>>,
}

/// Why the configured file of authorities cannot be used.
#[derive(Debug)]
pub struct AuthoritiesError {
    /// The file.
    pub path: PathBuf,
    problem: String,
}

impl fmt::Display for AuthoritiesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot trust the certificates in {}: {}", self.path.display(), self.problem)
    }
}

impl std::error::Error for AuthoritiesError {}

impl Tls {
    /// Trusts the system's authorities, and the certificates in `ca_file` (PEM).
    ///
    /// # Errors
    /// [`AuthoritiesError`] if the file cannot be read, or has no certificate, or one that
    /// cannot be an authority's.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, AuthoritiesError> {
        let added = match ca_file {
            Some(path) => read_authorities(path)
                .map_err(|problem| AuthoritiesError { path: path.to_owned(), problem })?,
            None => Vec::new(),
        };
        Ok(Self { added, config: OnceCell::new() })
    }

    /// Makes a connection to the target's host one on which nobody else can read or write.
    pub(super) async fn connect(
        &self,
        target: &Upstream,
        stream: Async<TcpStream>,
        limit: Duration,
    ) -> Result<TlsStream<Async<TcpStream>>, Fault> {
        let name = ServerName::try_from(target.host.clone())
            .map_err(|_| Fault::Refused(format!("no certificate can be for \"{}\"", target.host)))?;
        let added = self.added.clone();
        let config = self.config.get_or_try_init(|| smol::unblock(move || config(added))).await?;
        let handshake = TlsConnector::from(Arc::clone(config)).connect(name, stream);
        let late = async {
            smol::Timer::after(limit).await;
            Err(io::ErrorKind::TimedOut.into())
        };
        handshake.or(late).await.map_err(|error| fault(target, &error))
    }
}

fn read_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let certificates = read.map_err(|error| error.to_string())?;
    if certificates.is_empty() {
        return Err("it has none; what is wanted begins with -----BEGIN CERTIFICATE-----".to_owned());
    }
    let mut store = RootCertStore::empty();
    for (certificate, nth) in certificates.iter().zip(1..) {
        store.add(certificate.clone()).map_err(|error| format!("number {nth}: {error}"))?;
    }
    Ok(certificates)
}

fn config(added: Vec<CertificateDer<'static>>) -> Result<Arc<ClientConfig>, Fault> {
    let unusable = |error: rustls::Error| {
        Fault::Refused(format!(
            "https mirrors cannot be checked: {error}; install the package ca-certificates, or name \
             a file of authorities in `ca_file` under [mirror]"
        ))
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier::new_with_extra_roots(added, Arc::clone(&provider)).map_err(unusable)?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .dangerous() // rustls's word for any verifier but its own
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// What a handshake that failed means: what the mirror is will not change by asking again,
/// what the network does will.
fn fault(target: &Upstream, error: &io::Error) -> Fault {
    use rustls::Error as Tls;
    let site = target.site();
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Tls>()) {
        None => Fault::transient(format!("{site}: no TLS: {error}")),
        Some(Tls::InvalidCertificate(invalid)) => Fault::Refused(format!(
            "{site} has no certificate that can be trusted ({}); {}",
            described(invalid),
            remedy(invalid)
        )),
        Some(Tls::AlertReceived(
            AlertDescription::InternalError | AlertDescription::UserCanceled | AlertDescription::CloseNotify,
        )) => Fault::transient(format!("{site}: no TLS: {error}")),
        Some(error) => Fault::Refused(format!("{site} does not speak TLS as it should: {error}")),
    }
}

fn described(invalid: &CertificateError) -> String {
    match invalid {
        CertificateError::UnknownIssuer => "its authority is not known here".to_owned(),
        other => other.to_string(),
    }
}

fn remedy(invalid: &CertificateError) -> &'static str {
    match invalid {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => "is this machine's clock right?",
        CertificateError::UnknownIssuer => {
            "an authority of your own can be named in `ca_file` under [mirror]"
        }
        _ => "somebody else may answer in its place",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_authorities_is_refused_with_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("authority.pem");
        let error = |file: &Path| Tls::new(Some(file)).unwrap_err().to_string();
        assert!(error(&file).contains("authority.pem"), "{}", error(&file));
        std::fs::write(&file, "").unwrap();
        assert!(error(&file).contains("BEGIN CERTIFICATE"), "{}", error(&file));
        std::fs::write(&file, "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n").unwrap();
        assert!(error(&file).contains("number 1"), "{}", error(&file));
        assert!(Tls::new(None).is_ok());
    }
}
