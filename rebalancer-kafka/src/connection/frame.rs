//! Frames: a length of four bytes, and a message.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The maximum length of a response, in bytes: the description of a group of 1,000 members with
/// 10,000 partitions has less than one tenth.
pub(super) const FRAME_LIMIT: usize = 32 << 20;

/// Why a frame could not be read or written.
#[derive(Debug)]
pub(super) enum FrameError {
    Io(io::Error),
    /// The length is negative or above the limit: the four bytes.
    Length([u8; 4]),
}

impl From<io::Error> for FrameError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Writes one message.
pub(super) async fn write_frame(
    stream: &mut (impl AsyncWrite + Unpin + ?Sized),
    message: &[u8],
) -> Result<(), FrameError> {
    let length = u32::try_from(message.len()).map_err(io::Error::other)?;
    // In one write, because a TLS record or a packet for the length alone is a waste.
    let mut frame = Vec::with_capacity(4 + message.len());
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(message);
    stream.write_all(&frame).await?;
    stream.flush().await?;
    Ok(())
}

/// Reads one message. Memory is allocated as bytes arrive, and not by the announced length.
pub(super) async fn read_frame(
    stream: &mut (impl AsyncRead + Unpin + ?Sized),
) -> Result<Vec<u8>, FrameError> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let expected = usize::try_from(i32::from_be_bytes(length))
        .ok()
        .filter(|&length| length <= FRAME_LIMIT)
        .ok_or(FrameError::Length(length))?;
    let mut message = Vec::new();
    let limit = u64::try_from(expected).unwrap_or(u64::MAX);
    let read = stream.take(limit).read_to_end(&mut message).await?;
    if read < expected {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(message)
}
