//! Running a network over a batch without training it.

use lobe_engine::{EngineError, Plan, Runner, Tape, Workspace};
use lobe_nets::{Batch, Begin, End, Network, Ran};

/// A network, its parameters and the workers that run it.
pub struct Forward<'a> {
    net: &'a dyn Network,
    runner: &'a Runner,
    params: &'a [f32],
    plan: Plan,
    end: End,
}

impl<'a> Forward<'a> {
    /// Whole passes with these parameters, as the network is.
    pub fn new(net: &'a dyn Network, runner: &'a Runner, params: &'a [f32]) -> Forward<'a> {
        Forward { net, runner, params, plan: net.plain(), end: End::Outputs }
    }

    /// The same under routes and interventions.
    #[must_use]
    pub fn under(self, plan: Plan) -> Forward<'a> {
        Forward { plan, ..self }
    }

    /// The same up to a cut.
    #[must_use]
    pub fn until(self, end: End) -> Forward<'a> {
        Forward { end, ..self }
    }

    /// What `f` makes of each shard, in order; `f` gets the tape behind the pass, what the pass left and the
    /// number of the shard. Rows that do not count are those that [`Batch::counted`] leaves out.
    ///
    /// # Errors
    /// The first error in the order of shards.
    pub fn each_shard<R: Send, E: From<EngineError> + Send>(
        &self,
        batch: &Batch,
        f: impl Fn(&mut Tape<'_>, &Ran, usize) -> Result<R, E> + Sync,
    ) -> Result<Vec<R>, E> {
        let shards: Vec<usize> = (0..batch.shards()).collect();
        let parts = self.runner.map(&shards, |ws, s| self.shard(ws, batch, *s, |tape, ran| f(tape, ran, *s)));
        parts.into_iter().collect()
    }

    /// The same of one shard, in a workspace at hand: where two networks see a shard together.
    ///
    /// # Errors
    /// If the shard does not fit, or as `f`.
    pub fn shard<R, E: From<EngineError>>(
        &self,
        ws: &mut Workspace,
        batch: &Batch,
        shard: usize,
        f: impl FnOnce(&mut Tape<'_>, &Ran) -> Result<R, E>,
    ) -> Result<R, E> {
        let mut tape = Tape::new(ws, self.net.layout(), self.params, None, &self.plan, batch.rows(shard));
        let ran = self.net.run(&mut tape, Begin::Input(batch.fed(shard)), self.end)?;
        f(&mut tape, &ran)
    }

    /// The network.
    pub fn net(&self) -> &'a dyn Network {
        self.net
    }
}
