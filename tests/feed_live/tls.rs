//! The long way to a venue: a proxy that wants a name and a password, and TLS.

use std::future::Future;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use feed::shell::net::NetOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::super::child::Setting;
use super::{PATIENCE, RunningFeed};

/// Of localhost, for a hundred years.
const CERTIFICATE: &[u8] = include_bytes!("certificate.pem");
const KEY: &[u8] = include_bytes!("key.pem");
/// `feed:secret`.
const LOGIN: &str = "Proxy-Authorization: Basic ZmVlZDpzZWNyZXQ=\r\n";

/// Both on one thread, which ends when this is dropped.
struct Way {
    tls: SocketAddr,
    proxy: SocketAddr,
    /// What the proxy was asked for.
    asked: Arc<Mutex<Vec<String>>>,
    /// Whom to trust.
    certificate: PathBuf,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Way {
    /// TLS before `upstream`, `host:port`, in the name of localhost.
    fn begin(upstream: &str, folder: &Path) -> Way {
        let certificate = folder.join("certificate.pem");
        std::fs::write(&certificate, CERTIFICATE).unwrap();
        let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
        let chain = vec![CertificateDer::from_pem_slice(CERTIFICATE).unwrap()];
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(chain, key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let [tls, proxy] = [(), ()].map(|()| {
            let listener = StdListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            listener
        });
        let addresses = [&tls, &proxy].map(|it| it.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (stop, mut stopping) = watch::channel(false);
        let (upstream, heard) = (upstream.to_owned(), Arc::clone(&asked));
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let unwrap = move |stream| unwrap(stream, acceptor.clone(), upstream.clone());
                let tunnel = move |stream| tunnel(stream, Arc::clone(&heard));
                tokio::select! {
                    () = accept_all(tls, unwrap) => {}
                    () = accept_all(proxy, tunnel) => {}
                    _ = stopping.wait_for(|&is| is) => {}
                }
            });
        });
        let [tls, proxy] = addresses;
        Way { tls, proxy, asked, certificate, stop, thread: Some(thread) }
    }

    fn feed(&self, login: &str, certificates: Option<&Path>) -> RunningFeed {
        let port = self.tls.port();
        let net = NetOptions {
            proxy: Some(format!("http://{login}{}", self.proxy)),
            certificates: certificates.map(Path::to_owned),
            ..NetOptions::default()
        };
        let (ws, rest) = (format!("wss://localhost:{port}"), format!("https://localhost:{port}"));
        RunningFeed::start((ws, rest), net, &Arc::default(), 7)
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

async fn accept_all<F>(listener: StdListener, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::from_std(listener).unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream));
    }
}

async fn unwrap(stream: TcpStream, tls: TlsAcceptor, upstream: String) -> std::io::Result<()> {
    let mut here = tls.accept(stream).await?;
    let mut there = TcpStream::connect(upstream).await?;
    copy_bidirectional(&mut here, &mut there).await.map(drop)
}

async fn tunnel(mut here: TcpStream, asked: Arc<Mutex<Vec<String>>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(here.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    if !head.contains(LOGIN) {
        return here.write_all(b"HTTP/1.1 407 Who are you\r\n\r\n").await;
    }
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    asked.lock().unwrap().push(target.clone());
    let mut there = TcpStream::connect(target.replace("localhost", "127.0.0.1")).await?;
    here.write_all(b"HTTP/1.1 200 Go on\r\n\r\n").await?;
    copy_bidirectional(&mut here, &mut there).await.map(drop)
}

/// Waits for a status whose reason has these words.
#[track_caller]
fn until_reason(feed: &RunningFeed, words: &str) {
    let began = Instant::now();
    while !feed.statuses().iter().any(|status| status.reason.as_str().contains(words)) {
        assert!(began.elapsed() < PATIENCE, "no {words}: {:?}", feed.statuses());
        thread::park_timeout(Duration::from_millis(5));
    }
}

#[test]
fn a_venue_is_reached_through_a_proxy_and_under_tls_and_only_by_whom_they_trust() {
    let folder = tempfile::tempdir().unwrap();
    let server = Setting::demo(folder.path()).start();
    let way = Way::begin(server.http.trim_start_matches("http://"), folder.path());
    let began = Instant::now();
    let feed = way.feed("feed:secret@", Some(&way.certificate));
    while feed.synced().is_none() {
        assert!(began.elapsed() < PATIENCE, "not synced: {:?}", feed.statuses());
        thread::park_timeout(Duration::from_millis(5));
    }
    let asked = way.asked.lock().unwrap().clone();
    let target = format!("localhost:{}", way.tls.port());
    // The stream and a snapshot for each book.
    assert!(asked.len() >= 4 && asked.iter().all(|it| *it == target), "{asked:?}");
    until_reason(&way.feed("feed:secret@", None), "certificate");
    until_reason(&way.feed("feed:wrong@", Some(&way.certificate)), "407");
}
