//! Ways to a venue: TCP, through a proxy if there is one, under TLS where the scheme says so.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Uri;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::error::Error;

/// A proxy's answer to CONNECT may be so long.
const PROXY_HEAD_LENGTH_MAX: usize = 16 << 10;

/// How venues are reached.
#[derive(Debug, Clone)]
pub struct NetOptions {
    /// `http://[user:password@]host[:port]`: everything goes through its CONNECT.
    pub proxy: Option<String>,
    /// More certificates to trust (PEM), beside the usual roots of the web.
    pub certificates: Option<PathBuf>,
    /// Of a connection, TLS and all.
    pub connect_timeout: Duration,
}

impl Default for NetOptions {
    fn default() -> NetOptions {
        NetOptions { proxy: None, certificates: None, connect_timeout: Duration::from_secs(10) }
    }
}

/// A way there and back, whatever lies on it.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// An address, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Without the brackets of an IPv6 address.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) is_tls: bool,
    /// `host[:port]` as the URL has it.
    pub(crate) authority: String,
    /// From the first `/` on.
    pub(crate) path: String,
    /// `user:password` of a proxy.
    login: Option<String>,
}

impl Target {
    pub(crate) fn parse(url: &str) -> Result<Target, Error> {
        let wrong = || Error::Url { url: url.to_owned() };
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let is_tls = match uri.scheme_str() {
            Some("http" | "ws") => false,
            Some("https" | "wss") => true,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().ok_or_else(wrong)?.as_str();
        let (login, authority) = match authority.rsplit_once('@') {
            Some((login, authority)) => (Some(login.to_owned()), authority),
            None => (None, authority),
        };
        let host = uri.host().unwrap_or_default();
        if uri.port().is_none() && authority != host {
            return Err(wrong());
        }
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(wrong());
        }
        Ok(Target {
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            is_tls,
            authority: authority.to_owned(),
            path: uri.path_and_query().map_or("/", |it| it.as_str()).to_owned(),
            login,
        })
    }

    fn address(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// Opens connections.
#[derive(Clone)]
pub struct Net {
    tls: TlsConnector,
    proxy: Option<Target>,
    connect_timeout: Duration,
}

impl Net {
    /// Errors: the proxy's address or the file of certificates is not what it should be.
    pub fn new(options: &NetOptions) -> Result<Net, Error> {
        let proxy = options.proxy.as_deref().map(Target::parse).transpose()?;
        let tls = TlsConnector::from(Arc::new(tls_config(options)?));
        Ok(Net { tls, proxy, connect_timeout: options.connect_timeout })
    }

    pub(crate) async fn dial(&self, target: &Target) -> Result<Box<dyn Duplex>, Error> {
        let dialled = timeout(self.connect_timeout, self.dial_patiently(target)).await;
        dialled.map_err(|_| Error::Late { what: "connecting" })?
    }

    async fn dial_patiently(&self, target: &Target) -> Result<Box<dyn Duplex>, Error> {
        let stream = match &self.proxy {
            Some(proxy) => self.through(proxy, target).await?,
            None => tcp(target).await?,
        };
        match target.is_tls {
            true => self.wrap(target, stream).await,
            false => Ok(stream),
        }
    }

    async fn wrap(
        &self,
        target: &Target,
        stream: Box<dyn Duplex>,
    ) -> Result<Box<dyn Duplex>, Error> {
        let wrong = |error| Error::Tls { host: target.host.clone(), error };
        let name = ServerName::try_from(target.host.clone())
            .map_err(|error| wrong(std::io::Error::other(error)))?;
        let stream = self.tls.connect(name, stream).await.map_err(wrong)?;
        Ok(Box::new(stream))
    }

    /// Asks the proxy for a tunnel.
    async fn through(&self, proxy: &Target, target: &Target) -> Result<Box<dyn Duplex>, Error> {
        let stream = tcp(proxy).await?;
        let mut stream = match proxy.is_tls {
            true => self.wrap(proxy, stream).await?,
            false => stream,
        };
        let address = target.address();
        let mut request = format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n");
        if let Some(login) = &proxy.login {
            request += &format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(login));
        }
        request += "\r\n";
        let lost = |error| Error::Connect { address: proxy.address(), error };
        stream.write_all(request.as_bytes()).await.map_err(lost)?;
        let head = read_head(&mut stream).await.map_err(lost)?;
        let status = head.split(' ').nth(1).unwrap_or_default();
        match status.starts_with('2') {
            true => Ok(stream),
            false => {
                let answer = head.lines().next().unwrap_or_default().chars().take(100).collect();
                Err(Error::Proxy { answer })
            }
        }
    }
}

/// Byte by byte: what follows the head belongs to whoever uses the tunnel.
async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == PROXY_HEAD_LENGTH_MAX {
            return Err(std::io::Error::other("the proxy's answer has no end"));
        }
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

async fn tcp(target: &Target) -> Result<Box<dyn Duplex>, Error> {
    let lost = |error| Error::Connect { address: target.address(), error };
    let stream = TcpStream::connect((target.host.as_str(), target.port)).await.map_err(lost)?;
    stream.set_nodelay(true).map_err(lost)?;
    Ok(Box::new(stream))
}

fn tls_config(options: &NetOptions) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = &options.certificates {
        let wrong = |error: String| Error::Certificates { path: path.display().to_string(), error };
        let found = CertificateDer::pem_file_iter(path).map_err(|it| wrong(it.to_string()))?;
        let mut count = 0;
        for certificate in found {
            let certificate = certificate.map_err(|it| wrong(it.to_string()))?;
            roots.add(certificate).map_err(|it| wrong(it.to_string()))?;
            count += 1;
        }
        if count == 0 {
            return Err(wrong("no certificate in it".to_owned()));
        }
    }
    Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        #[track_caller]
        fn check(url: &str, expected: Option<(&str, u16, bool, &str)>) {
            let target = Target::parse(url).ok();
            let found = target.as_ref().map(|it| (&*it.host, it.port, it.is_tls, &*it.path));
            assert_eq!(found, expected, "{url}");
        }
        check(
            "wss://stream.example/stream?streams=a",
            Some(("stream.example", 443, true, "/stream?streams=a")),
        );
        check("ws://127.0.0.1:8080", Some(("127.0.0.1", 8080, false, "/")));
        check("https://[::1]:9/x", Some(("::1", 9, true, "/x")));
        check("http://a:b@proxy.example:3128", Some(("proxy.example", 3128, false, "/")));
        for wrong in
            ["", "a", "ftp://a", "/stream", "http://", "ws:///x", "http://a b", "http://a:x"]
        {
            check(wrong, None);
        }
        assert_eq!(Target::parse("http://a:b@c").unwrap().login.as_deref(), Some("a:b"));
        assert_eq!(Target::parse("http://[::1]:9").unwrap().address(), "[::1]:9");
    }
}
