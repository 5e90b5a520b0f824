//! What is made of something once and kept beside it.

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Forms of one thing, by their types, each made when first asked for.
///
/// Core knows one form of an object; who evaluates policies in another language needs another, and
/// making it for every policy anew would cost more than the policies do.
#[derive(Default)]
pub struct Derived {
    forms: Mutex<Vec<(TypeId, Arc<dyn Any + Send + Sync>)>>,
}

impl Derived {
    /// The form of this type; `make` is called where there is none yet, and others wait for it.
    pub fn get<T: Send + Sync + 'static>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let mut forms = self.forms.lock().unwrap_or_else(PoisonError::into_inner);
        let known = forms.iter().find(|(id, _)| *id == TypeId::of::<T>());
        if let Some(form) = known.and_then(|(_, form)| Arc::clone(form).downcast().ok()) {
            return form;
        }
        let form = Arc::new(make());
        forms.push((TypeId::of::<T>(), form.clone()));
        form
    }
}

impl fmt::Debug for Derived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Derived")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_made_once() {
        let derived = Derived::default();
        assert_eq!(*derived.get(|| 1_u32), 1);
        assert_eq!(*derived.get(|| 2_u32), 1);
        assert_eq!(*derived.get(|| "a".to_owned()), "a");
    }
}
