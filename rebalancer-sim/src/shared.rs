//! The state of a world, shared between its handles.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::state::State;

/// A shared reference to the state of a world.
#[derive(Debug, Clone)]
pub(crate) struct SharedState(Arc<Mutex<State>>);

impl SharedState {
    pub(crate) fn new(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // After a failed assertion in another thread, a second panic here would hide the first.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
