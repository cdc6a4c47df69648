//! Many texts at once: each thread runs whole texts by itself, which beats sharing every product of a short text.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use crate::Error;
use crate::engine::native::NativeText;
use crate::engine::{Engine, TextEngine};
use crate::text_tower::TextTower;
use crate::tokenizer::Tokenizer;

/// One thread's view of a text tower.
pub struct Worker<'w> {
    engine: &'w mut dyn TextEngine,
    tokenizer: &'w Tokenizer,
}

impl Worker<'_> {
    /// The l2-normalised embedding `[E]` of a text.
    ///
    /// # Errors
    /// As [`TextTower::embed`].
    pub fn embed(&mut self, text: &str) -> Result<&[f32], Error> {
        self.engine.run(&self.tokenizer.encode(text)?)
    }
}

impl TextTower<'_> {
    /// Does `job` for each index below `count` on the tower's threads, and hands every result to `sink` with its index, in any order.
    /// A result's bits do not depend on the number of threads.
    ///
    /// # Errors
    /// The first error that a job meets; jobs that have not begun by then are left out.
    pub fn each<T: Send>(
        &mut self,
        count: usize,
        job: impl Fn(usize, &mut Worker<'_>) -> Result<T, Error> + Sync,
        mut sink: impl FnMut(usize, T),
    ) -> Result<(), Error> {
        self.tokenizer()?;
        if self.kind() != Engine::Native || self.threads() == 1 {
            let (engine, tokenizer) = self.parts()?;
            let mut worker = Worker { engine, tokenizer };
            return (0..count).try_for_each(|index| {
                sink(index, job(index, &mut worker)?);
                Ok(())
            });
        }
        let (text, threads) = (self.text().clone(), self.threads().min(count));
        let (_, tokenizer) = self.parts()?;
        let next = AtomicUsize::new(0);
        let (sender, results) = mpsc::channel();
        thread::scope(|scope| {
            for _ in 0..threads {
                let (sender, text, job, next) = (sender.clone(), text.clone(), &job, &next);
                scope.spawn(move || {
                    let mut engine = match NativeText::new(text, 1) {
                        Ok(engine) => engine,
                        Err(error) => return drop(sender.send((0, Err(error)))),
                    };
                    let mut worker = Worker { engine: &mut engine, tokenizer };
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        // Nobody listens any more once a job has failed.
                        if index >= count || sender.send((index, job(index, &mut worker))).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            let outcome = results.iter().try_for_each(|(index, result)| {
                sink(index, result?);
                Ok(())
            });
            drop(results);
            outcome
        })
    }
}
