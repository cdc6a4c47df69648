//! Labels photos on a Raspberry Pi 3 or 4 without an operating system: two compressions of one model side by side, on the screen and on the
//! serial console.
//!
//! The models are executed where the firmware loaded them, all working memory is static, and nothing is allocated.
#![no_std]
#![no_main]

mod arena;
mod board;
mod boot;
mod checksum;
mod cores;
mod counters;
mod failure;
mod framebuffer;
mod labeller;
mod linked;
mod mailbox;
mod memory;
mod mmio;
mod stack;
mod uart;

use core::array;
use core::convert::Infallible;
use core::fmt::{self, Write};
use core::time::Duration;

use edgelip_drawing::{self as drawing, Line, Notice, Report, Screen};
use edgelip_runtime::Parallel;

use arena::Arena;
use board::Board;
use cores::Cores;
use counters::{Cost, Counters};
use failure::Failure;
use framebuffer::Framebuffer;
use labeller::Labeller;
use linked::{MODELS, PHOTOS, Photo};
use uart::Uart;

/// Width and height of the screen. A display with more pixels shows it enlarged.
const SCREEN: [usize; 2] = [1280, 720];
/// Until the next photo, if nobody presses a key.
const PAUSE: Duration = Duration::from_secs(5);

/// All that a label needs and tells.
struct Demo {
    board: Board,
    /// Whether QEMU stands for the board: then no figure is one of real hardware.
    emulated: bool,
    console: Uart,
    screen: Option<Framebuffer>,
    counters: Counters,
    cores: Cores,
    arena: &'static mut Arena,
}

/// Called by the first instructions (`boot.s`) on one core, with memory set up.
#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    let board = Board::detect();
    let console = Uart::start(board);
    // The only call.
    let Some(arena) = arena::take() else { boot::halt() };
    let mut demo = Demo {
        board,
        emulated: mailbox::emulated(board),
        console,
        screen: Framebuffer::new(board, SCREEN),
        counters: Counters::start(),
        cores: Cores::start(),
        arena,
    };
    let Err(failure) = demo.run();
    demo.tell(&failure);
    boot::halt()
}

impl Demo {
    /// Shows one photo after the other, for ever.
    fn run(&mut self) -> Result<Infallible, Failure> {
        self.log(format_args!("edgelip on {}, {} cores", self.machine().as_str(), self.cores.workers()));
        if self.screen.is_none() {
            self.log(format_args!("no screen: the console tells all"));
        }
        let labellers = self.open()?;
        loop {
            for photo in &PHOTOS {
                self.show(&labellers, photo)?;
                counters::wait(PAUSE, || self.console.pressed());
            }
        }
    }

    /// Opens all models, or says which one is wrong.
    fn open(&mut self) -> Result<[Option<Labeller>; MODELS.len()], Failure> {
        let mut failure = MODELS.is_empty().then_some(Failure::NoModel);
        // SAFETY: this runs once, and the firmware was asked how much memory there is.
        let free = unsafe { memory::map_rest(mailbox::memory_end(self.board)) };
        let opened = array::from_fn(|index| match Labeller::open(&MODELS[index], &free) {
            Ok(labeller) => Some(labeller),
            Err(wrong) => {
                failure.get_or_insert(wrong);
                None
            }
        });
        if let Some(failure) = failure {
            return Err(failure);
        }
        for Labeller { name, vision, .. } in opened.iter().flatten() {
            self.log(format_args!(
                "model {name}: {} bytes at {:p}, {:.1} % compressed, {:.1} M multiply-adds, {} of {} KiB of scratch",
                vision.file().bytes().len(),
                vision.file().bytes().as_ptr(),
                100.0 * vision.plan().saving(),
                vision.plan().macs() as f64 / 1e6,
                vision.scratch_len(self.cores.workers()).unwrap_or(usize::MAX).div_ceil(256),
                self.arena.scratch.len() / 256,
            ));
        }
        Ok(opened)
    }

    /// Labels a photo with all models, and shows what they say.
    fn show(&mut self, labellers: &[Option<Labeller>], photo: &Photo) -> Result<(), Failure> {
        let mut answers = [None; MODELS.len()];
        for (index, labeller) in labellers.iter().flatten().enumerate() {
            answers[index] = Some(labeller.label(photo, self.arena, index, &self.cores, &self.counters)?);
        }
        let told = || labellers.iter().flatten().zip(answers.iter().flatten());

        self.log(format_args!("photo {}", photo.name));
        for (labeller, answer) in told() {
            self.log(format_args!("  {}, {:.1} % compressed", labeller.name, 100.0 * labeller.vision.plan().saving()));
            for label in answer.labels() {
                self.log(format_args!("    {:8.4} %  {}", 100.0 * label.score, label.name));
            }
            self.log_cost(answer.cost);
        }

        let costs = answers.map(|answer| answer.map(|answer| answer.cost).unwrap_or_default().drawn());
        let mut reports =
            [Report { model: "", compression: 0.0, costs: &[], photo: None, merged: None, labels: &[] }; MODELS.len()];
        for (index, (labeller, answer)) in told().enumerate() {
            let seen = labeller.seen(&self.arena.views[index]);
            reports[index] = Report {
                model: labeller.name,
                compression: labeller.vision.plan().saving() as f32,
                costs: if answer.cost.instructions.is_some() { &costs[index] } else { &costs[index][..2] },
                photo: seen.map_or(drawing::Photo::new(photo.data, photo.height, photo.width), |seen| Some(seen.0)),
                merged: seen.map(|seen| seen.1),
                labels: answer.labels(),
            };
        }
        let machine = self.machine();
        let status = Line::new(format_args!("{}  any key: the next photo", machine.as_str()));
        if let Some(screen) = &mut self.screen {
            let Ok(()) = Screen { reports: &reports, status: Some(status.as_str()) }.draw(screen);
        }
        self.log(format_args!("deepest stack: {} of {} bytes", stack::deepest(), stack::size()));
        self.log(format_args!("shown {}", photo.name));
        Ok(())
    }

    fn log_cost(&self, cost: Cost) {
        let Cost { microseconds, cycles, instructions } = cost;
        let milliseconds = microseconds as f64 / 1e3;
        let by = if self.emulated { " (emulated)" } else { "" };
        match instructions {
            Some(count) => {
                self.log(format_args!("    {milliseconds:.1} ms, {cycles} cycles, {count} instructions{by}"))
            }
            None => self.log(format_args!("    {milliseconds:.1} ms, {cycles} cycles, instructions not counted{by}")),
        }
    }

    /// Says what is wrong, before the halt.
    fn tell(&mut self, failure: &Failure) {
        let text = Line::new(format_args!("{failure}"));
        if let Some(screen) = &mut self.screen {
            let Ok(()) = Notice { title: failure.title(), text: text.as_str() }.draw(screen);
        }
        self.log(format_args!("{}\n{failure}\nhalted", failure.title()));
    }

    fn machine(&self) -> Line {
        let by = if self.emulated { ", emulated by QEMU" } else { "" };
        Line::new(format_args!("{} ({}){by}", self.board.name(), self.board.core()))
    }

    fn log(&self, line: fmt::Arguments<'_>) {
        // The console can't fail.
        let _ = writeln!({ self.console }, "{line}");
    }
}
