//! Questions to the video core, which owns clocks and screen: the property mailbox.
//!
//! <https://github.com/raspberrypi/firmware/wiki/Mailbox-property-interface>

use core::hint::spin_loop;

use crate::board::Board;
use crate::memory;

const FIRMWARE_REVISION: u32 = 0x0000_0001;
const GET_ARM_MEMORY: u32 = 0x0001_0005;
const SET_CLOCK_RATE: u32 = 0x0003_8002;
const ALLOCATE_BUFFER: u32 = 0x0004_0001;
const GET_PITCH: u32 = 0x0004_0008;
const SET_PHYSICAL_SIZE: u32 = 0x0004_8003;
const SET_VIRTUAL_SIZE: u32 = 0x0004_8004;
const SET_DEPTH: u32 = 0x0004_8005;
const SET_PIXEL_ORDER: u32 = 0x0004_8006;

/// The UART's clock.
const UART_CLOCK: u32 = 2;
/// The mailbox's channel for properties.
const PROPERTIES: u32 = 8;
/// The video core has carried all of a message out.
const DONE: u32 = 0x8000_0000;

/// A screen as the video core made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surface {
    /// Physical address of the first pixel.
    pub address: usize,
    /// Bytes of all rows.
    pub size: usize,
    /// Bytes from one row to the next.
    pub pitch: usize,
    /// Pixels in a row, rows.
    pub dimensions: [usize; 2],
}

/// The longest message, in words. It fills whole cache lines, so that nothing else is written when they are.
const WORDS: usize = 48;

#[repr(C, align(64))]
struct Message([u32; WORDS]);

impl Message {
    fn new() -> Self {
        Message([0; WORDS])
    }

    /// Asks `tags`, each with as many words as question and answer have, and puts the answers in their place; whether all went well.
    fn ask<const N: usize>(&mut self, board: Board, tags: [(u32, &mut [u32]); N]) -> bool {
        let words = &mut self.0;
        let mut end = 2;
        for (tag, values) in &tags {
            words[end..end + 3].copy_from_slice(&[*tag, 4 * values.len() as u32, 0]);
            words[end + 3..][..values.len()].copy_from_slice(values);
            end += 3 + values.len();
        }
        words[..2].copy_from_slice(&[4 * (end as u32 + 1), 0]);
        words[end] = 0;
        exchange(board, words);
        let mut answer = 2;
        for (_, values) in tags {
            values.copy_from_slice(&words[answer + 3..][..values.len()]);
            answer += 3 + values.len();
        }
        words[1] == DONE
    }
}

/// Hands a message over and waits for its answer.
fn exchange(board: Board, message: &mut [u32; WORDS]) {
    const READ: usize = 0x00;
    const READ_STATUS: usize = 0x18;
    const WRITE: usize = 0x20;
    const WRITE_STATUS: usize = 0x38;
    const FULL: u32 = 1 << 31;
    const EMPTY: u32 = 1 << 30;
    let registers = board.mailbox();
    let letter = message.as_mut_ptr().expose_provenance() as u32 | PROPERTIES;
    memory::publish(message);
    while registers.read(WRITE_STATUS) & FULL != 0 {
        spin_loop();
    }
    registers.write(WRITE, letter);
    loop {
        while registers.read(READ_STATUS) & EMPTY != 0 {
            spin_loop();
        }
        if registers.read(READ) == letter {
            break;
        }
    }
    memory::publish(message);
}

/// Whether QEMU stands for the board: a real video core's firmware gives the second at which it was built, QEMU a small number.
pub fn emulated(board: Board) -> bool {
    let mut revision = [0];
    Message::new().ask(board, [(FIRMWARE_REVISION, &mut revision)]) && revision[0] < 1_000_000_000
}

/// Where the memory ends that the processor has below the video core's. It begins at 0.
pub fn memory_end(board: Board) -> usize {
    let mut memory = [0, 0];
    let done = Message::new().ask(board, [(GET_ARM_MEMORY, &mut memory)]);
    if done { memory[1] as usize } else { 0 }
}

/// Sets what the UART's speed is derived from, in Hz. An old firmware that refuses has 48 MHz.
pub fn set_uart_clock(board: Board, hertz: u32) {
    Message::new().ask(board, [(SET_CLOCK_RATE, &mut [UART_CLOCK, hertz, 0])]);
}

/// A screen of this width and height, with 32 bits a pixel: 0x00RRGGBB. `None` if the video core has none.
pub fn surface(board: Board, [width, height]: [usize; 2]) -> Option<Surface> {
    /// Red in the third byte of a pixel.
    const BLUE_FIRST: u32 = 0;
    const ALIGNMENT: u32 = 4096;
    /// The bits that are left of an address when the video core's aliases are taken off.
    const PHYSICAL: u32 = 0x3FFF_FFFF;
    let (mut physical, mut order, mut depth) = ([width as u32, height as u32], [BLUE_FIRST], [32]);
    let (mut dimensions, mut buffer, mut pitch) = (physical, [ALIGNMENT, 0], [0]);
    let done = Message::new().ask(
        board,
        [
            (SET_PHYSICAL_SIZE, &mut physical),
            (SET_VIRTUAL_SIZE, &mut dimensions),
            (SET_DEPTH, &mut depth),
            (SET_PIXEL_ORDER, &mut order),
            (ALLOCATE_BUFFER, &mut buffer),
            (GET_PITCH, &mut pitch),
        ],
    );
    let [address, size] = buffer.map(|word| (word & PHYSICAL) as usize);
    let surface = Surface { address, size, pitch: pitch[0] as usize, dimensions: dimensions.map(|side| side as usize) };
    let fits = address != 0
        && surface.pitch.is_multiple_of(4)
        && surface.dimensions[0].checked_mul(4).is_some_and(|row| row <= surface.pitch)
        && surface.dimensions[1].checked_mul(surface.pitch).is_some_and(|all| all <= size);
    (done && depth == [32] && order == [BLUE_FIRST] && fits).then_some(surface)
}
