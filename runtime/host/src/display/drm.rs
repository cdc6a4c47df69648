use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use drm::buffer::{Buffer, DrmFourcc};
use drm::control::{Device, Mode, ModeTypeFlags, connector, crtc, dumbbuffer::DumbBuffer, framebuffer};

use super::{Canvas, Display, check};
use crate::Error;

/// A screen driven by the kernel's mode setting, as `/dev/dri/card0`, without any window system. What it showed before comes back in
/// the end. Not yet run on a real one.
pub struct Drm {
    card: Card,
    path: PathBuf,
    connector: connector::Handle,
    /// What was there.
    before: crtc::Info,
    framebuffer: framebuffer::Handle,
    buffer: Option<DumbBuffer>,
    size: [u32; 2],
}

struct Card(File);

impl AsFd for Card {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl drm::Device for Card {}
impl Device for Card {}

impl Card {
    /// The first connected screen, its preferred mode, and what can drive it.
    fn screen(&self) -> io::Result<(connector::Handle, Mode, crtc::Handle)> {
        let resources = self.resource_handles()?;
        for &handle in resources.connectors() {
            let connector = self.get_connector(handle, true)?;
            let preferred = |mode: &&Mode| mode.mode_type().contains(ModeTypeFlags::PREFERRED);
            let modes = connector.modes();
            let mode = modes.iter().find(preferred).or(modes.first());
            let (connector::State::Connected, Some(&mode)) = (connector.state(), mode) else { continue };
            let encoders = connector.current_encoder().into_iter().chain(connector.encoders().iter().copied());
            for encoder in encoders.filter_map(|encoder| self.get_encoder(encoder).ok()) {
                let possible = resources.filter_crtcs(encoder.possible_crtcs());
                if let Some(crtc) = encoder.crtc().or_else(|| possible.first().copied()) {
                    return Ok((handle, mode, crtc));
                }
            }
        }
        Err(io::Error::new(io::ErrorKind::NotFound, "no screen is connected"))
    }
}

impl Drm {
    /// Takes the first connected screen of a card, in its preferred mode.
    ///
    /// # Errors
    /// [`Error::Io`] if the card can't be opened, has no screen, or another program holds it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let card = OpenOptions::new().read(true).write(true).open(path).map(Card).map_err(Error::io(path))?;
        Self::start(card, path).map_err(Error::io(path))
    }

    fn start(card: Card, path: &Path) -> io::Result<Self> {
        let (connector, mode, crtc) = card.screen()?;
        let before = card.get_crtc(crtc)?;
        let size = [u32::from(mode.size().0), u32::from(mode.size().1)];
        let buffer = card.create_dumb_buffer((size[0], size[1]), DrmFourcc::Xrgb8888, 32)?;
        let framebuffer = match card.add_framebuffer(&buffer, 24, 32) {
            Ok(framebuffer) => framebuffer,
            Err(error) => {
                let _ = card.destroy_dumb_buffer(buffer);
                return Err(error);
            }
        };
        let path = path.to_path_buf();
        let screen = Drm { card, path, connector, before, framebuffer, buffer: Some(buffer), size };
        screen.card.set_crtc(crtc, Some(framebuffer), (0, 0), &[connector], Some(mode))?;
        Ok(screen)
    }
}

impl Display for Drm {
    fn size(&self) -> [u32; 2] {
        self.size
    }

    fn show(&mut self, canvas: &Canvas) -> Result<(), Error> {
        check(self, canvas)?;
        let Some(buffer) = &mut self.buffer else { return Ok(()) };
        let pitch = buffer.pitch() as usize;
        let mut mapping = self.card.map_dumb_buffer(buffer).map_err(Error::io(&self.path))?;
        for (row, pixels) in mapping.as_mut().chunks_exact_mut(pitch).zip(canvas.rows()) {
            for (to, pixel) in row.chunks_exact_mut(4).zip(pixels.chunks_exact(3)) {
                to.copy_from_slice(&[pixel[2], pixel[1], pixel[0], 255]);
            }
        }
        Ok(())
    }
}

impl Drop for Drm {
    fn drop(&mut self) {
        // Nobody is left to be told that the screen can't be reached any more.
        let (before, connectors) = (&self.before, [self.connector]);
        let connectors = if before.mode().is_some() { &connectors[..] } else { &[] };
        let _ = self.card.set_crtc(before.handle(), before.framebuffer(), before.position(), connectors, before.mode());
        let _ = self.card.destroy_framebuffer(self.framebuffer);
        if let Some(buffer) = self.buffer.take() {
            let _ = self.card.destroy_dumb_buffer(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_card_is_an_error() {
        for path in ["/dev/null", "/no/such/card0"] {
            let message = Drm::open(Path::new(path)).err().unwrap().to_string();
            assert!(message.starts_with(path), "{message}");
        }
    }
}
