use std::net::Ipv4Addr;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{AlertDescription, ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream as ClientStream;

use super::*;
use crate::identity::tls::provider;

/// How both ends are set up; the server wants a certificate if it `wants_one`, and the client has none.
fn configs(wants_one: bool) -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let roots = Arc::new(roots);
    let server = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap();
    let server = if wants_one {
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider()).build();
        server.with_client_cert_verifier(verifier.unwrap())
    } else {
        server.with_no_client_auth()
    };
    let server = server.with_single_cert(vec![cert.der().clone()], key).unwrap();
    let client = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), Arc::new(client))
}

async fn connect(client: Arc<ClientConfig>, stream: DuplexStream) -> io::Result<ClientStream<DuplexStream>> {
    let name = ServerName::IpAddress(Ipv4Addr::LOCALHOST.into());
    TlsConnector::from(client).connect(name, stream).await
}

/// Both ends after the handshake, with room for so many bytes on the way.
async fn pair(room: usize) -> (TlsStream<DuplexStream>, ClientStream<DuplexStream>) {
    let (server, client) = configs(false);
    let (near, far) = duplex(room);
    let (near, far) = tokio::join!(TlsStream::accept(near, server), connect(client, far));
    (near.unwrap(), far.unwrap())
}

/// It is moved from future to future, each of which has room for it.
#[test]
fn a_stream_is_small() {
    assert!(size_of::<TlsStream<tokio::net::TcpStream>>() <= 48);
}

/// What a stream holds while nothing is on the way.
fn held<S>(stream: &TlsStream<S>) -> usize {
    stream.tls.unread.capacity() + stream.tls.plain.capacity() + stream.tls.unwritten.capacity()
}

fn much() -> Vec<u8> {
    (0..200_000u32).map(|place| (place % 251) as u8).collect()
}

#[tokio::test]
async fn whatever_the_pieces_it_arrives_whole_and_nothing_is_held_after_it() {
    for room in [1, 7, 100, 4_096, 1 << 20] {
        let (mut near, mut far) = pair(room).await;
        let much = if room < 100 {
            much()[..3_000].to_vec()
        } else {
            much()
        };
        let mut came = vec![0; much.len()];
        let (sent, read) = tokio::join!(
            async {
                far.write_all(&much).await?;
                far.flush().await
            },
            near.read_exact(&mut came)
        );
        sent.unwrap();
        read.unwrap();
        assert!(came == much, "{room}");
        let mut back = vec![0; much.len()];
        let (sent, read) = tokio::join!(
            async {
                near.write_all(&much).await?;
                near.flush().await
            },
            far.read_exact(&mut back)
        );
        sent.unwrap();
        read.unwrap();
        assert!(back == much, "{room}");
        assert_eq!(held(&near), 0, "{room}");
    }
}

#[tokio::test]
async fn who_asks_for_little_gets_the_rest_later() {
    let (mut near, mut far) = pair(1 << 20).await;
    far.write_all(b"one two three").await.unwrap();
    far.flush().await.unwrap();
    let mut words = Vec::new();
    for length in [3, 1, 3, 1, 5] {
        let mut word = vec![0; length];
        near.read_exact(&mut word).await.unwrap();
        words.extend(word);
    }
    assert_eq!(words, b"one two three");
    assert_eq!(held(&near), 0);
}

#[tokio::test]
async fn new_keys_are_taken_on_and_answered() {
    let (mut near, mut far) = pair(1 << 20).await;
    for round in 0..3u8 {
        far.get_mut().1.refresh_traffic_keys().unwrap();
        far.write_all(&[round]).await.unwrap();
        far.flush().await.unwrap();
        assert_eq!(near.read_u8().await.unwrap(), round);
        near.write_all(&[round, round]).await.unwrap();
        near.flush().await.unwrap();
        assert_eq!(far.read_u16().await.unwrap(), u16::from(round) * 257);
    }
    assert_eq!(held(&near), 0);
}

/// Each asks for an answer, and whoever asks takes none: one answer waits, not all of them.
#[tokio::test]
async fn who_asks_for_new_keys_again_and_again_makes_nothing_grow() {
    let (mut near, mut far) = pair(4_096).await;
    const ROUNDS: usize = 2_000;
    let asking = async {
        for _ in 0..ROUNDS {
            far.get_mut().1.refresh_traffic_keys().unwrap();
            far.write_all(&[1]).await?;
            far.flush().await?;
        }
        Ok::<_, io::Error>(())
    };
    let mut came = vec![0; ROUNDS];
    let (asked, read) = tokio::join!(asking, near.read_exact(&mut came));
    asked.unwrap();
    read.unwrap();
    assert!(held(&near) <= 1_024, "{} bytes", held(&near));
}

#[tokio::test]
async fn an_end_in_order_is_told_from_one_that_is_not() {
    let (mut near, mut far) = pair(1 << 20).await;
    far.write_all(b"last").await.unwrap();
    far.shutdown().await.unwrap();
    let mut came = Vec::new();
    near.read_to_end(&mut came).await.unwrap();
    assert_eq!(came, b"last");
    // What is said back arrives all the same, and the end of it.
    near.write_all(&[1]).await.unwrap();
    near.shutdown().await.unwrap();
    let mut back = Vec::new();
    far.read_to_end(&mut back).await.unwrap();
    assert_eq!(back, [1]);

    let (mut near, far) = pair(1 << 20).await;
    drop(far);
    let cut = near.read_u8().await.unwrap_err();
    assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn who_is_refused_is_told_why() {
    let (server, client) = configs(true);
    let (near, far) = duplex(1 << 20);
    let (near, far) = tokio::join!(TlsStream::accept(near, server), async {
        // Its own side is over before the server has looked at it.
        let mut far = connect(client, far).await?;
        far.read_u8().await
    });
    let refused = near.err().unwrap();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidData, "{refused}");
    let told = far.unwrap_err();
    let told = told.get_ref().and_then(|error| error.downcast_ref::<Error>());
    let alert = Error::AlertReceived(AlertDescription::CertificateRequired);
    assert_eq!(told, Some(&alert));
}

#[tokio::test]
async fn what_is_no_tls_is_refused() {
    let endless = [
        &[22, 3, 1, 0x40, 0][..],
        &[1, 0xff, 0xff, 0xff][..],
        &[0; 200_000][..],
    ]
    .concat();
    for nonsense in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0; 100],
        &[22, 3, 1, 0xff, 0xff, 1],
        &endless,
    ] {
        let (server, _) = configs(false);
        let (near, mut far) = duplex(1 << 20);
        far.write_all(nonsense).await.unwrap();
        let refused = TlsStream::accept(near, server).await.err().unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData, "{refused}");
    }
}

#[tokio::test]
async fn a_changed_byte_ends_it() {
    let (near, mut far) = pair(1 << 20).await;
    far.write_all(b"hello").await.unwrap();
    far.flush().await.unwrap();
    let (mut between, later) = duplex(1 << 20);
    let mut stream = near.stream;
    let mut record = [0; 27];
    stream.read_exact(&mut record).await.unwrap();
    record[10] ^= 1;
    between.write_all(&record).await.unwrap();
    let mut near = TlsStream {
        stream: later,
        tls: near.tls,
    };
    assert_eq!(
        near.read_u8().await.unwrap_err().kind(),
        io::ErrorKind::InvalidData
    );
}
