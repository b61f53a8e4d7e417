//! A host that looks at the server as people do: over HTTP, through the same network.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use turmoil::net::TcpStream;

use super::server;

pub(super) const HOST: &str = "observer";
/// How often it looks for a question.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What it is asked, and its answer. Clones are the same question.
#[derive(Clone, Default)]
pub(super) struct Questions(Arc<Mutex<Exchange>>);

#[derive(Default)]
struct Exchange {
    question: Option<Question>,
    answer: Option<Result<String, String>>,
}

/// What it can be asked.
#[derive(Clone)]
pub(super) enum Question {
    /// `GET` of a path.
    Get(String),
    /// To open a connection to the server and to hold it for ever.
    HoldOne,
}

impl Questions {
    pub(super) fn ask(&self, question: Question) {
        *self.0.lock().unwrap() = Exchange {
            question: Some(question),
            answer: None,
        };
    }

    pub(super) fn answer(&self) -> Option<Result<String, String>> {
        self.0.lock().unwrap().answer.take()
    }
}

/// Answers for ever.
pub(super) async fn run(questions: Questions) -> turmoil::Result {
    let mut held = Vec::new();
    loop {
        let question = questions.0.lock().unwrap().question.take();
        let answer = match question {
            None => {
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            Some(Question::Get(path)) => get(&path).await,
            Some(Question::HoldOne) => match TcpStream::connect((server::HOST, server::PORT)).await {
                Ok(stream) => {
                    held.push(stream);
                    Ok(String::new())
                }
                Err(error) => Err(error.to_string()),
            },
        };
        questions.0.lock().unwrap().answer = Some(answer);
    }
}

/// One request on a connection of its own.
async fn get(path: &str) -> Result<String, String> {
    let exchange = async {
        let mut stream = TcpStream::connect((server::HOST, server::PORT)).await?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\r\n",
            server::PORT
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = match tokio::time::timeout(Duration::from_secs(10), exchange).await {
        Ok(Ok(answer)) => String::from_utf8(answer).map_err(|error| error.to_string())?,
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err("no answer within 10 s".to_owned()),
    };
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no head of an answer")?;
    if !head.starts_with("HTTP/1.1 200") {
        return Err(format!("{head}\n{body}"));
    }
    Ok(body.to_owned())
}
