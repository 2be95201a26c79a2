//! TLS before a mirror, with an authority of our own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_rustls::TlsAcceptor;
use futures_rustls::rustls::ServerConfig;
use futures_rustls::rustls::crypto::ring;
use futures_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use smol::Async;
use smol::io::AsyncWriteExt as _;

/// Who vouches for mirrors.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
}

impl Authority {
    /// One of this name: two of one name would be taken for each other.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// Writes its certificate into `folder`.
    pub fn write(&self, folder: &Path) -> PathBuf {
        let file = folder.join("authority.pem");
        std::fs::write(&file, self.certificate.pem()).unwrap();
        file
    }

    /// What a mirror of this name or address shows.
    pub fn vouch(&self, name: &str) -> Arc<ServerConfig> {
        self.vouch_with(name, |_| {})
    }

    /// The same, with something else about it.
    pub fn vouch_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Arc<ServerConfig> {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.into())
            .unwrap();
        Arc::new(config)
    }
}

/// Listens on a free port of this machine, and passes on to `mirror` what comes over TLS.
pub fn front(mirror: SocketAddr, shown: Arc<ServerConfig>) -> SocketAddr {
    let listener = Async::<TcpListener>::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.get_ref().local_addr().unwrap();
    let acceptor = TlsAcceptor::from(shown);
    smol::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            smol::spawn(async move {
                // Who goes away, or is not content with what is shown, is none of its business.
                let _ = pass_on(acceptor, stream, mirror).await;
            })
            .detach();
        }
    })
    .detach();
    address
}

async fn pass_on(acceptor: TlsAcceptor, client: Async<TcpStream>, mirror: SocketAddr) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = smol::io::split(acceptor.accept(client).await?);
    let mirror = Async::<TcpStream>::connect(mirror).await?;
    mirror.get_ref().set_nodelay(true)?;
    let there = async {
        smol::io::copy(&mut from_client, &mut &mirror).await?;
        mirror.get_ref().shutdown(std::net::Shutdown::Write)
    };
    let back = async {
        smol::io::copy(&mirror, &mut to_client).await?;
        to_client.close().await
    };
    smol::future::try_zip(there, back).await.map(|_| ())
}
