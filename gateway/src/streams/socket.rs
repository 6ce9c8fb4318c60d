//! A WebSocket connection of streams: one task that reads the client's messages and writes what
//! waits for it.

use std::pin::pin;
use std::sync::Arc;

use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use protocol::Stamp;
use tokio::time::{Instant, sleep_until};

use super::control::{Refusal, parse_control};
use super::{Connected, Name, TooManyStreams};
use crate::gateway::{Admitted, Gateway};
use crate::json::TimeUnit;
use crate::legacy::Subscriber;
use crate::limits::MessagePace;
use crate::options::Options;
use crate::outbox::{Close, Outbox};
use crate::socket::{FAREWELL, Life, farewell};

/// How a connection begins: what its URL says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Start {
    /// Wrapped payloads: `/stream`.
    pub is_combined: bool,
    pub names: Vec<String>,
    pub unit: TimeUnit,
}

/// Serves one connection to its end.
///
/// The upgrade must have bounded the size of messages by [`Options::request_bytes_max`].
pub async fn serve(gateway: Arc<Gateway>, mut socket: WebSocket, start: Start, admitted: Admitted) {
    let outbox = Arc::new(Outbox::new(gateway.options.outbox));
    let subscriber = gateway.options.listen_keys.then(|| Subscriber {
        outbox: Arc::clone(&outbox),
        connection: gateway.next_connection(),
        unit: start.unit,
    });
    let connected = connect(&gateway, &outbox, &start, subscriber.as_ref());
    let control = |text: &str| answer(&gateway, &connected, &outbox, subscriber.as_ref(), text);
    let close = Session::new(&gateway.options, &outbox, control).run(&mut socket).await;
    // From here on nothing is sent to it.
    drop(connected);
    if let Some(subscriber) = subscriber {
        subscriber.disconnect(&mut gateway.core());
    }
    farewell(&mut socket, close).await;
    drop(admitted);
}

/// Subscribes to what the URL names. A name that is malformed has no messages, as `/ws/0`.
fn connect(
    gateway: &Arc<Gateway>,
    outbox: &Arc<Outbox>,
    start: &Start,
    subscriber: Option<&Subscriber>,
) -> Connected {
    let names: Vec<Name> = start.names.iter().filter_map(|name| Name::parse(name).ok()).collect();
    let mut core = gateway.core();
    let views = &mut core.views;
    let id = views.streams.connect(Arc::clone(outbox), start.unit, start.is_combined);
    if views.streams.subscribe(id, &names, &views.market) == Err(TooManyStreams) {
        let text = format!("too many streams, at most {}", gateway.options.streams_max);
        outbox.push(Refusal::request(text, None).body().into());
    }
    if let Some(subscriber) = subscriber {
        subscriber.join(&mut core, &names, start.is_combined);
    }
    Connected::new(Arc::clone(gateway), id)
}

/// Answers one message, before anything that the streams send because of it.
fn answer(
    gateway: &Gateway,
    connected: &Connected,
    outbox: &Outbox,
    subscriber: Option<&Subscriber>,
    text: &str,
) {
    let answer = match parse_control(text) {
        Ok(control) => {
            let mut core = gateway.core();
            let views = &mut core.views;
            let answer = views.streams.control(connected.id, &control, &views.market);
            // Under the lock: an event that follows must not overtake it.
            outbox.push(answer.into());
            if let Some(subscriber) = subscriber {
                let is_combined = core.streams.is_combined(connected.id);
                subscriber.follow(&mut core, &control.request, is_combined);
            }
            return;
        }
        Err(refusal) => refusal.body(),
    };
    outbox.push(answer.into());
}

/// Why a connection ends: a reason of ours, or none when the client left.
type Ended = Option<Close>;

struct Session<'a, C> {
    outbox: &'a Outbox,
    /// Answers a text message.
    control: C,
    life: Life,
    pace: MessagePace,
    born: Instant,
    message_bytes_max: usize,
    /// What was taken out of the outbox.
    batch: Vec<Utf8Bytes>,
}

impl<'a, C: FnMut(&str)> Session<'a, C> {
    fn new(options: &Options, outbox: &'a Outbox, control: C) -> Session<'a, C> {
        let now = Instant::now();
        Session {
            outbox,
            control,
            life: Life::new(options, now),
            pace: MessagePace::new(options.stream_messages_per_second),
            born: now,
            message_bytes_max: options.request_bytes_max,
            batch: Vec::new(),
        }
    }

    /// Reads and writes until one side ends it.
    async fn run<S, E>(&mut self, socket: &mut S) -> Ended
    where
        S: Stream<Item = Result<Message, E>> + Sink<Message> + Unpin,
    {
        let mut alarm = pin!(sleep_until(self.life.next()));
        loop {
            if let Err(ended) = self.write_waiting(socket).await {
                return ended;
            }
            let read = tokio::select! {
                biased;
                () = self.outbox.ready() => Ok(()),
                message = socket.next() => match message {
                    Some(Ok(message)) => self.read(&message),
                    // Not WebSocket, or above the bound.
                    Some(Err(_)) => Err(Some(Close::Unreadable)),
                    None => Err(None),
                },
                () = &mut alarm => {
                    let looked = self.look(socket).await;
                    alarm.as_mut().reset(self.life.next());
                    looked
                }
            };
            if let Err(ended) = read {
                return ended;
            }
        }
    }

    /// The next moment at which something may be due has come.
    async fn look<S: Sink<Message> + Unpin>(&mut self, socket: &mut S) -> Result<(), Ended> {
        match self.life.look(Instant::now()) {
            Ok(Some(ping)) => self.write(socket, vec![ping]).await,
            Ok(None) => Ok(()),
            Err(close) => Err(Some(close)),
        }
    }

    fn read(&mut self, message: &Message) -> Result<(), Ended> {
        let now = Instant::now();
        if let Message::Close(_) = message {
            return Err(None);
        }
        if !self.pace.admits(since(self.born, now)) {
            return Err(Some(Close::TooManyMessages));
        }
        match message {
            Message::Text(text) if text.len() > self.message_bytes_max => {
                return Err(Some(Close::Unreadable));
            }
            Message::Text(text) => (self.control)(text),
            Message::Binary(_) => self.outbox.push(Refusal::binary().body().into()),
            Message::Pong(payload) => self.life.pong(payload, now),
            // The protocol's own layer has the pong ready.
            Message::Ping(_) | Message::Close(_) => {}
        }
        Ok(())
    }

    /// Writes all that waits.
    async fn write_waiting<S: Sink<Message> + Unpin>(
        &mut self,
        socket: &mut S,
    ) -> Result<(), Ended> {
        loop {
            let close = self.outbox.drain(&mut self.batch);
            if self.batch.is_empty() {
                return close.map_or(Ok(()), |close| Err(Some(close)));
            }
            let messages = self.batch.drain(..).map(Message::Text).collect();
            self.write(socket, messages).await?;
        }
    }

    /// Writes with one flush. A client that does not read is cut off when its queue is full, or when
    /// nothing was read for as long as it may take for a pong.
    async fn write<S: Sink<Message> + Unpin>(
        &mut self,
        socket: &mut S,
        messages: Vec<Message>,
    ) -> Result<(), Ended> {
        let mut writing = pin!(async {
            for message in messages {
                socket.feed(message).await?;
            }
            socket.flush().await
        });
        let mut stuck = pin!(sleep_until(Instant::now() + self.life.patience()));
        let mut is_closing = false;
        loop {
            // Written first: nearly always it is done at once, and no timer is needed.
            tokio::select! {
                biased;
                written = &mut writing => return written.map_err(|_| None),
                () = &mut stuck => return Err(Some(Close::TooSlow)),
                () = self.outbox.ready(), if !is_closing => {
                    if self.outbox.is_closed() {
                        is_closing = true;
                        // What else waits is written next.
                        if self.outbox.drain(&mut self.batch) == Some(Close::TooSlow) {
                            return Err(Some(Close::TooSlow));
                        }
                        stuck.as_mut().reset(Instant::now() + FAREWELL);
                    }
                }
            }
        }
    }
}

/// A connection's own time, for its pace.
fn since(born: Instant, now: Instant) -> Stamp {
    Stamp(u64::try_from(now.duration_since(born).as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use std::time::Duration;

    use axum::body::Bytes;

    use super::*;
    use crate::outbox::OutboxLimits;

    /// A client that sends what it was given and then waits or leaves.
    #[derive(Default)]
    struct Peer {
        incoming: VecDeque<Result<Message, ()>>,
        leaves: bool,
        written: Vec<Message>,
        flushes: usize,
        /// Nothing is ever flushed.
        is_stuck: bool,
        /// Answers pings.
        is_alive: bool,
    }

    impl Stream for Peer {
        type Item = Result<Message, ()>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            match self.incoming.pop_front() {
                None if !self.leaves => Poll::Pending,
                next => Poll::Ready(next),
            }
        }
    }

    impl Sink<Message> for Peer {
        type Error = ();

        fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), ()>> {
            Poll::Ready(Ok(()))
        }

        fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), ()> {
            if let (Message::Ping(payload), true) = (&message, self.is_alive) {
                let pong = Message::Pong(payload.clone());
                self.incoming.push_back(Ok(pong));
            }
            self.written.push(message);
            Ok(())
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), ()>> {
            self.flushes += 1;
            if self.is_stuck { Poll::Pending } else { Poll::Ready(Ok(())) }
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), ()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn text(text: &str) -> Result<Message, ()> {
        Ok(Message::Text(text.into()))
    }

    fn outbox() -> Outbox {
        Outbox::new(OutboxLimits { messages_max: 4, bytes_max: 1_000 })
    }

    async fn run(options: &Options, outbox: &Outbox, peer: &mut Peer) -> Ended {
        Session::new(options, outbox, |text: &str| outbox.push(text.into())).run(peer).await
    }

    #[tokio::test]
    async fn what_waits_is_written_with_one_flush_before_the_end() {
        let (outbox, mut peer) = (outbox(), Peer::default());
        for message in ["a", "b", "c"] {
            outbox.push(message.into());
        }
        outbox.close(Close::ShuttingDown);
        let ended = run(&Options::default(), &outbox, &mut peer).await;
        assert_eq!(ended, Some(Close::ShuttingDown));
        assert_eq!((peer.written.len(), peer.flushes), (3, 1));
        peer.leaves = true;
        farewell(&mut peer, ended).await;
        let Some(Message::Close(Some(frame))) = peer.written.pop() else { panic!("no close") };
        assert_eq!(frame.code, 1001);
    }

    #[tokio::test]
    async fn messages_are_answered_and_garbage_too() {
        let (outbox, mut peer) = (outbox(), Peer { leaves: true, ..Peer::default() });
        peer.incoming.extend([
            text("hello"),
            Ok(Message::Binary(Bytes::from_static(b"\xff"))),
            Ok(Message::Ping(Bytes::new())),
            Ok(Message::Pong(Bytes::from_static(b"unasked for"))),
        ]);
        assert_eq!(run(&Options::default(), &outbox, &mut peer).await, None);
        let written: Vec<&str> = peer.written.iter().filter_map(|it| it.to_text().ok()).collect();
        assert_eq!(written, ["hello", &Refusal::binary().body()]);
    }

    #[tokio::test]
    async fn bad_clients_are_closed() {
        let check = async |incoming: Vec<Result<Message, ()>>, expected: Ended| {
            let options = Options { request_bytes_max: 100, ..Options::default() };
            let (outbox, mut peer) = (outbox(), Peer::default());
            peer.incoming.extend(incoming);
            assert_eq!(run(&options, &outbox, &mut peer).await, expected);
        };
        let mixed = [text("1"), Ok(Message::Ping(Bytes::new())), Ok(Message::Pong(Bytes::new()))];
        let six = mixed.iter().cycle().take(6).cloned().collect();
        check(six, Some(Close::TooManyMessages)).await;
        check(vec![text(&"1".repeat(101))], Some(Close::Unreadable)).await;
        check(vec![Err(())], Some(Close::Unreadable)).await;
        check(vec![Ok(Message::Close(None))], None).await;
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_cut_off() {
        let outbox = outbox();
        let mut peer = Peer { is_stuck: true, ..Peer::default() };
        outbox.push("first".into());
        let filling = async {
            while !outbox.is_closed() {
                tokio::task::yield_now().await;
                outbox.push("more".into());
            }
        };
        let options = Options::default();
        let (ended, ()) = tokio::join!(run(&options, &outbox, &mut peer), filling);
        assert_eq!(ended, Some(Close::TooSlow));
    }

    #[tokio::test]
    async fn a_client_without_pongs_is_lost_and_one_with_them_grows_old() {
        let options = Options {
            ping_interval: Duration::from_millis(3),
            pong_timeout: Duration::from_millis(20),
            connection_age_max: Duration::from_millis(80),
            stream_messages_per_second: 0,
            ..Options::default()
        };
        let mut dead = Peer::default();
        // An unsolicited pong does not save it.
        dead.incoming.push_back(Ok(Message::Pong(Bytes::from_static(b"7"))));
        assert_eq!(run(&options, &outbox(), &mut dead).await, Some(Close::NoPong));
        let mut alive = Peer { is_alive: true, ..Peer::default() };
        assert_eq!(run(&options, &outbox(), &mut alive).await, Some(Close::TooOld));
        assert!(alive.written.len() > 3);
    }
}
