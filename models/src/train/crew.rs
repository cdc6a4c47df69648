//! Learners that share their weights, each in a thread of its own: small layers leave several threads inside of one pass with little to do.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Scope;

use tch::Tensor;

use crate::data::Batch;
use crate::objective::Learner;
use crate::parameters::Parameter;
use crate::vision::Merge;

/// What one pass gives.
#[derive(Debug)]
pub struct Pass {
    /// What was minimised.
    pub loss: f64,
    /// Its parts and what else is worth a curve.
    pub parts: Vec<(&'static str, f64)>,
    /// One for each parameter, undefined where there is none.
    pub gradients: Vec<Tensor>,
}

enum Task {
    Learn { batch: Batch, merge: Option<Merge>, share: f64 },
    Constrain { done: Sender<()> },
}

/// Threads that learn until this is dropped.
#[derive(Debug)]
pub struct Crew {
    members: Vec<(Sender<Task>, Receiver<Pass>)>,
}

impl Crew {
    /// Starts a thread for each learner; there must be one. The threads that libtorch may use are divided among them.
    pub fn new<'scope>(
        scope: &'scope Scope<'scope, '_>,
        learners: Vec<Box<dyn Learner>>,
        parameters: &[Parameter],
    ) -> Crew {
        assert!(!learners.is_empty(), "somebody must learn");
        let threads = (tch::get_num_threads() / learners.len() as i32).max(1);
        let member = |learner: Box<dyn Learner>| {
            let tensors: Vec<Tensor> = parameters.iter().map(|parameter| parameter.tensor.shallow_clone()).collect();
            let (give, tasks) = channel();
            let (answer, passes) = channel();
            scope.spawn(move || {
                tch::set_num_threads(threads);
                for task in tasks {
                    match task {
                        Task::Learn { batch, merge, share } => {
                            let pass = learn(learner.as_ref(), &tensors, batch, merge.as_ref(), share);
                            if answer.send(pass).is_err() {
                                return;
                            }
                        }
                        Task::Constrain { done } => {
                            learner.constrain();
                            let _ = done.send(());
                        }
                    }
                }
            });
            (give, passes)
        };
        Crew { members: learners.into_iter().map(member).collect() }
    }

    /// Learns from batches; losses count `share` in the gradients. The passes come in the order of the batches.
    ///
    /// # Panics
    /// If a member has panicked: a step of the other passes alone would be a wrong one.
    pub fn learn(&self, batches: Vec<(Batch, Option<Merge>)>, share: f64) -> impl Iterator<Item = Pass> {
        let count = batches.len();
        for ((batch, merge), (member, _)) in batches.into_iter().zip(self.members.iter().cycle()) {
            // One that is gone is noticed below.
            let _ = member.send(Task::Learn { batch, merge, share });
        }
        self.members.iter().cycle().take(count).map(|(_, passes)| passes.recv().expect("a learner panicked"))
    }

    /// Keeps what must stay in bounds there, after a step.
    pub fn constrain(&self) {
        let (done, finished) = channel();
        let _ = self.members[0].0.send(Task::Constrain { done });
        let _ = finished.recv();
    }
}

fn learn(learner: &dyn Learner, tensors: &[Tensor], batch: Batch, merge: Option<&Merge>, share: f64) -> Pass {
    let outcome = learner.outcome(&batch, merge);
    let gradients = Tensor::run_backward(&[&outcome.loss * share], tensors, false, false);
    let parts = outcome.parts.iter().map(|(name, part)| (*name, part.double_value(&[]))).collect();
    Pass { loss: outcome.loss.double_value(&[]), parts, gradients }
}
