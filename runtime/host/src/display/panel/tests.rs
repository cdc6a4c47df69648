use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;

use embedded_graphics::pixelcolor::Rgb888;
use embedded_hal::{digital, spi};

use super::*;

/// Commands with their arguments.
type Sent = Vec<(u8, Vec<u8>)>;

/// A bus and three lines, and all that happened on them.
#[derive(Clone, Default)]
struct Board {
    /// Whether the bytes are data, from the command line's level.
    data: Rc<Cell<bool>>,
    resets: Rc<Cell<u32>>,
    light: Rc<Cell<bool>>,
    sent: Rc<RefCell<Sent>>,
}

impl spi::ErrorType for Board {
    type Error = Infallible;
}

impl SpiDevice for Board {
    fn transaction(&mut self, operations: &mut [spi::Operation<'_, u8>]) -> Result<(), Infallible> {
        for operation in operations {
            let spi::Operation::Write(bytes) = operation else { panic!("panels are only written to") };
            assert!(bytes.len() <= BATCH);
            let mut sent = self.sent.borrow_mut();
            if self.data.get() {
                sent.last_mut().unwrap().1.extend_from_slice(bytes);
            } else {
                sent.extend(bytes.iter().map(|&command| (command, Vec::new())));
            }
        }
        Ok(())
    }
}

enum Line {
    Command(Board),
    Reset(Board),
    Light(Board),
}

impl digital::ErrorType for Line {
    type Error = Infallible;
}

impl OutputPin for Line {
    fn set_low(&mut self) -> Result<(), Infallible> {
        match self {
            Line::Command(board) => board.data.set(false),
            Line::Reset(board) => board.resets.set(board.resets.get() + 1),
            Line::Light(board) => board.light.set(false),
        }
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        if let Line::Command(board) = self {
            board.data.set(true);
        }
        Ok(())
    }
}

struct NoDelay;

impl DelayNs for NoDelay {
    fn delay_ns(&mut self, _: u32) {}
}

fn panel(board: &Board, controller: Controller, reset: bool, mounting: Mounting) -> Result<Box<dyn Display>, Error> {
    board.light.set(true);
    let pins = Pins {
        command: Line::Command(board.clone()),
        reset: reset.then(|| Line::Reset(board.clone())),
        light: Some(Line::Light(board.clone())),
    };
    start(Path::new("/dev/spidev0.0"), controller, (board.clone(), pins, &mut NoDelay), mounting)
}

const UPRIGHT: Mounting =
    Mounting { size: [240, 320], rotation: Rotation::None, offset: [0, 0], inverted: false, bgr: false };

/// Window and pixels of the last picture.
fn picture(board: &Board) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let sent = board.sent.borrow();
    let last = |command: u8| sent.iter().rev().find(|sent| sent.0 == command).unwrap().1.clone();
    (last(0x2A), last(0x2B), last(0x2C))
}

#[test]
fn pictures_fill_the_panel_and_are_taken_away() {
    for controller in [Controller::St7789, Controller::Ili9341] {
        let board = Board::default();
        let mut panel = panel(&board, controller, false, UPRIGHT).unwrap();
        // A reset by command, out of sleep, light on.
        let commands: Vec<_> = board.sent.borrow().iter().map(|sent| sent.0).collect();
        assert!(commands.starts_with(&[0x01]) && commands.contains(&0x11) && commands.contains(&0x29), "{commands:x?}");
        assert!(board.light.get() && board.resets.get() == 0);

        let mut canvas = Canvas::new(panel.size());
        canvas.clear(Rgb888::RED).unwrap();
        canvas.draw_iter([Pixel(Point::new(1, 0), Rgb888::new(8, 4, 16))]).unwrap();
        panel.show(&canvas).unwrap();
        let (columns, rows, pixels) = picture(&board);
        assert_eq!((&columns[..], &rows[..]), (&[0, 0, 0, 239][..], &[0, 0, 1, 63][..]));
        assert_eq!(pixels.len(), 240 * 320 * 2);
        assert_eq!(pixels[..6], [0xF8, 0x00, 0x08, 0x22, 0xF8, 0x00]);
        assert!(panel.show(&Canvas::new([320, 240])).is_err());
        drop(panel);
        assert!(picture(&board).2.iter().all(|&byte| byte == 0) && !board.light.get());
    }
}

#[test]
fn panels_can_be_turned_moved_and_wired_otherwise() {
    let board = Board::default();
    let mounting =
        Mounting { size: [280, 240], rotation: Rotation::Quarter, offset: [0, 20], inverted: true, bgr: true };
    let mut panel = panel(&board, Controller::St7789, true, mounting).unwrap();
    assert_eq!((panel.size(), board.resets.get()), ([280, 240], 1));
    let sent = board.sent.borrow().clone();
    assert!(sent.iter().all(|sent| sent.0 != 0x01), "no reset by command beside that by the line");
    assert!(sent.iter().any(|sent| sent.0 == 0x21), "inverted");
    let access = sent.iter().find(|sent| sent.0 == 0x36).unwrap().1[0];
    assert_eq!(access & 0b0010_1000, 0b0010_1000, "rows and columns change places, so do red and blue: {access:08b}");
    panel.show(&Canvas::new([280, 240])).unwrap();
    let (columns, rows, _) = picture(&board);
    assert_eq!((&columns[..], &rows[..]), (&[0, 20, 1, 43][..], &[0, 0, 0, 239][..]));
}

#[test]
fn a_panel_larger_than_its_controller_is_an_error() {
    for (size, offset) in [([240, 321], [0, 0]), ([0, 10], [0, 0]), ([240, 240], [1, 0]), ([u32::MAX, 10], [0, 0])] {
        let mounting = Mounting { size, offset, ..UPRIGHT };
        let message = panel(&Board::default(), Controller::Ili9341, false, mounting).err().unwrap().to_string();
        assert!(message.contains("at most 240x320"), "{message}");
    }
    let wiring = Wiring { chip: "/dev/gpiochip0".into(), command: 25, reset: None, light: None, hertz: 1_000_000 };
    assert!(open(Path::new("/no/spidev0.0"), Controller::St7789, &wiring, UPRIGHT).is_err());
}
