//! Where a node gets the hardware from, and gets it again after it was started again.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use muster_metal::Metal;
use parking_lot::Mutex;

type Home = Arc<Mutex<Option<Box<dyn Metal>>>>;

/// Where the hardware comes from.
#[derive(Clone)]
pub struct MetalSource(Kind);

#[derive(Clone)]
enum Kind {
    Fresh(Arc<dyn Fn() -> Box<dyn Metal> + Send + Sync>),
    Single(Home),
}

/// The hardware, for as long as one node works with it.
pub struct Lease {
    metal: Option<Box<dyn Metal>>,
    home: Option<Home>,
}

impl MetalSource {
    /// Hardware that can be opened any number of times: even while a node that hangs still has it.
    pub fn fresh(open: impl Fn() -> Box<dyn Metal> + Send + Sync + 'static) -> Self {
        Self(Kind::Fresh(Arc::new(open)))
    }

    /// Hardware that exists once, such as a simulated machine with its past. A node that panics gives it back; one that
    /// hangs keeps it.
    pub fn single(metal: Box<dyn Metal>) -> Self {
        Self(Kind::Single(Arc::new(Mutex::new(Some(metal)))))
    }

    /// Takes the hardware; none while somebody else has it.
    pub fn take(&self) -> Option<Lease> {
        match &self.0 {
            Kind::Fresh(open) => Some(Lease {
                metal: Some(open()),
                home: None,
            }),
            Kind::Single(home) => home.lock().take().map(|metal| Lease {
                metal: Some(metal),
                home: Some(home.clone()),
            }),
        }
    }
}

impl std::fmt::Debug for MetalSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Kind::Fresh(_) => "MetalSource::fresh",
            Kind::Single(_) => "MetalSource::single",
        })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            *home.lock() = self.metal.take();
        }
    }
}

impl Deref for Lease {
    type Target = dyn Metal;
    fn deref(&self) -> &Self::Target {
        self.metal
            .as_deref()
            .expect("a lease has its hardware until it is dropped")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.metal
            .as_deref_mut()
            .expect("a lease has its hardware until it is dropped")
    }
}
