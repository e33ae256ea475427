//! Session stores that hand each call on to another one.

use std::sync::Arc;

use super::SessionStore;

/// Implements [`SessionStore`] for a type by the store that an expression finds in it, whose
/// futures are the answer.
macro_rules! forward_store {
    ([$($generics:tt)*] $store:ty, $self:ident => $inner:expr) => {
        impl<$($generics)*> $crate::store::SessionStore for $store {
            fn load(
                &$self,
                id: $crate::model::SessionId,
                now: $crate::model::Timestamp,
            ) -> impl Future<Output = Result<Option<$crate::model::Record>, $crate::store::StoreError>> + Send {
                $inner.load(id, now)
            }

            fn create(
                &$self,
                id: $crate::model::SessionId,
                record: $crate::model::Record,
                now: $crate::model::Timestamp,
            ) -> impl Future<Output = Result<$crate::store::CreateOutcome, $crate::store::StoreError>> + Send {
                $inner.create(id, record, now)
            }

            fn apply(
                &$self,
                id: $crate::model::SessionId,
                secret: &$crate::model::SecretHash,
                delta: &$crate::model::Delta,
                at: $crate::model::Instants,
            ) -> impl Future<Output = Result<$crate::model::ApplyOutcome, $crate::store::StoreError>> + Send {
                $inner.apply(id, secret, delta, at)
            }

            fn remove(
                &$self,
                id: $crate::model::SessionId,
                secret: Option<&$crate::model::SecretHash>,
                at: $crate::model::Instants,
            ) -> impl Future<Output = Result<$crate::model::RemoveOutcome, $crate::store::StoreError>> + Send {
                $inner.remove(id, secret, at)
            }

            fn remove_each(
                &$self,
                ids: &[$crate::model::SessionId],
                at: $crate::model::Instants,
            ) -> impl Future<Output = Result<Vec<$crate::model::RemoveOutcome>, $crate::store::StoreError>> + Send {
                $inner.remove_each(ids, at)
            }

            fn list(
                &$self,
                owner: &$crate::model::Owner,
                now: $crate::model::Timestamp,
            ) -> impl Future<Output = Result<Vec<$crate::store::SessionSummary>, $crate::store::StoreError>> + Send {
                $inner.list(owner, now)
            }

            fn list_up_to(
                &$self,
                owner: &$crate::model::Owner,
                most: usize,
                now: $crate::model::Timestamp,
            ) -> impl Future<Output = Result<Vec<$crate::store::SessionSummary>, $crate::store::StoreError>> + Send {
                $inner.list_up_to(owner, most, now)
            }

            fn remove_owned(
                &$self,
                owner: &$crate::model::Owner,
                except: Option<$crate::model::SessionId>,
                now: $crate::model::Timestamp,
            ) -> impl Future<Output = Result<u64, $crate::store::StoreError>> + Send {
                $inner.remove_owned(owner, except, now)
            }

            fn page(
                &$self,
                after: Option<&$crate::store::Cursor>,
                most: usize,
                now: $crate::model::Timestamp,
            ) -> impl Future<Output = Result<$crate::store::Page, $crate::store::StoreError>> + Send {
                $inner.page(after, most, now)
            }

            fn count(
                &$self,
                now: $crate::model::Timestamp,
            ) -> impl Future<Output = Result<Option<u64>, $crate::store::StoreError>> + Send {
                $inner.count(now)
            }

            fn largest_session(&$self) -> Option<u64> {
                $inner.largest_session()
            }
        }
    };
}
#[cfg(feature = "moka")]
pub(crate) use forward_store;

forward_store!([S: SessionStore] Arc<S>, self => (**self));
