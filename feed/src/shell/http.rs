//! One GET, one answer, one connection: snapshots are rare.

use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderMap, RETRY_AFTER, USER_AGENT};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::AGENT;
use super::error::Error;
use super::net::{Net, Target};

/// Bounds of an answer.
#[derive(Debug, Clone, Copy)]
pub struct HttpOptions {
    /// From the question to the last byte.
    pub answer_timeout: Duration,
    /// Of the body. 5,000 levels a side are some 300 KiB.
    pub body_bytes_max: usize,
}

impl Default for HttpOptions {
    fn default() -> HttpOptions {
        HttpOptions { answer_timeout: Duration::from_secs(15), body_bytes_max: 16 << 20 }
    }
}

/// What a venue answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Seconds, of `Retry-After`.
    pub retry_after_s: Option<u64>,
    /// Weight that the venue counts in its minute so far, of `X-MBX-USED-WEIGHT-1M`.
    pub used_weight: Option<u32>,
    pub body: Bytes,
}

pub(crate) async fn get(net: &Net, url: &str, options: HttpOptions) -> Result<Answer, Error> {
    let answered = timeout(options.answer_timeout, get_patiently(net, url, options)).await;
    answered.map_err(|_| Error::Late { what: "the answer" })?
}

async fn get_patiently(net: &Net, url: &str, options: HttpOptions) -> Result<Answer, Error> {
    let target = Target::parse(url)?;
    let stream = net.dial(&target).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(&target.path)
        .header(HOST, &target.authority)
        .header(USER_AGENT, AGENT)
        .body(Empty::<Bytes>::new())
        .map_err(|_| Error::Url { url: url.to_owned() })?;
    let ask = async {
        let answer = sender.send_request(request).await?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, options.body_bytes_max).collect().await;
        let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
            Ok(error) => Error::Http(error),
            Err(_) => Error::TooLong { bytes_max: options.body_bytes_max },
        })?;
        Ok(Answer {
            status: head.status.as_u16(),
            retry_after_s: number(&head.headers, RETRY_AFTER.as_str()),
            used_weight: number(&head.headers, "x-mbx-used-weight-1m"),
            body: body.to_bytes(),
        })
    };
    // The connection moves only while somebody looks at it.
    tokio::pin!(connection);
    tokio::pin!(ask);
    tokio::select! {
        biased;
        answer = &mut ask => answer,
        ended = &mut connection => match ended {
            Ok(()) => ask.await,
            Err(error) => Err(error.into()),
        },
    }
}

fn number<T: std::str::FromStr>(headers: &HeaderMap, name: &str) -> Option<T> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}
