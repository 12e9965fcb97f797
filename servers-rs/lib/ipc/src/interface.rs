// SPDX-License-Identifier: PMPL-1.0-or-later
//! The `interface!` macro: one declaration, both sides.
//!
//! ```
//! ipc::interface! {
//!     /// Adds.
//!     interface adder;
//!     errors {
//!         /// The sum does not fit.
//!         TooLarge = 16,
//!     }
//!     methods {
//!         /// The sum.
//!         1 add idempotent (a: u64, b: u64) -> u64;
//!     }
//! }
//! # fn main() {}
//! ```
//! makes `Client`, `Serve`, `dispatch`, `Error`, `METHODS`, `NAME` and `label` in the crate it stands in.

use crate::{Lost, Message, Transport, Wire};

/// What a client may do when a server died before it answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Repeat {
    /// Doing it twice is doing it once: the client repeats it by itself.
    Idempotent,
    /// The caller hears `Restarted` and decides.
    Once,
}

/// A row of an interface's table.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    pub label: u32,
    pub name: &'static str,
    pub repeat: Repeat,
    pub doc: &'static str,
}

/// Codes that every interface's errors begin with.
pub mod code {
    pub const OK: u32 = 0;
    /// Made by the client when its server died.
    pub const RESTARTED: u32 = 1;
    /// No such method, or the arguments are none of it. One side was built from another table.
    pub const MALFORMED: u32 = 2;
    /// The first code that an interface may use for its own errors.
    pub const FIRST_OWN: u32 = 16;
}

pub trait ApiError: Sized {
    fn code(&self) -> u32;
    /// A code that this interface does not have becomes `Malformed`.
    fn from_code(code: u32) -> Self;
}

/// Times that an idempotent call is made before its client hears `Restarted`: a request that killed its server twice is not
/// given to a third.
pub const ATTEMPTS: usize = 2;

/// One call through a transport; repeats it if it may.
pub fn call<T, R, E>(transport: &mut T, request: &Message, repeat: Repeat) -> Result<R, E>
where
    T: Transport + ?Sized,
    R: Wire,
    E: ApiError,
{
    if request.overflowed() {
        return Err(E::from_code(code::MALFORMED));
    }
    let attempts = if repeat == Repeat::Idempotent { ATTEMPTS } else { 1 };
    for _ in 0..attempts {
        match transport.call(request) {
            Ok(reply) if reply.label == code::OK => {
                return R::take(&mut reply.reader()).ok_or_else(|| E::from_code(code::MALFORMED));
            }
            Ok(reply) => return Err(E::from_code(reply.label)),
            Err(Lost::Refused) => return Err(E::from_code(code::MALFORMED)),
            Err(Lost::Gone) => {}
        }
    }
    Err(E::from_code(code::RESTARTED))
}

/// The answer to a request that gave `result`.
pub fn answer<R: Wire, E: ApiError>(result: Result<R, E>) -> Message {
    match result {
        Ok(value) => {
            let mut reply = Message::new(code::OK);
            value.put(&mut reply);
            if reply.overflowed() { Message::new(code::MALFORMED) } else { reply }
        }
        Err(error) => Message::new(error.code()),
    }
}

/// See the module's own page.
#[macro_export]
macro_rules! interface {
    (
        $(#[doc = $doc:literal])+ interface $name:ident;
        errors { $( $(#[doc = $edoc:literal])+ $error:ident = $code:literal, )* }
        methods { $( $(#[doc = $mdoc:literal])+ $label:literal $method:ident $repeat:ident
            ( $($arg:ident : $ty:ty),* ) -> $ret:ty; )* }
    ) => {
        /// As manifests name it.
        pub const NAME: &str = stringify!($name);

        /// Why a call of this interface did nothing, or may have done nothing.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u32)]
        pub enum Error {
            /// The server died before it answered, or is not there.
            Restarted = $crate::interface::code::RESTARTED,
            /// No such method, or its arguments are none.
            Malformed = $crate::interface::code::MALFORMED,
            $( $(#[doc = $edoc])+ $error = $code, )*
        }
        impl $crate::ApiError for Error {
            fn code(&self) -> u32 { *self as u32 }
            fn from_code(code: u32) -> Self {
                match code {
                    $crate::interface::code::RESTARTED => Error::Restarted,
                    $( $code => Error::$error, )*
                    _ => Error::Malformed,
                }
            }
        }

        /// Labels of the methods, for a server that answers some of them later.
        #[allow(non_upper_case_globals)]
        pub mod label { $( pub const $method: u32 = $label; )* }

        pub const METHODS: &[$crate::Method] = &[ $( $crate::Method {
            label: $label, name: stringify!($method), repeat: $crate::interface!(@repeat $repeat),
            doc: concat!($($mdoc, "\n"),+),
        }, )* ];

        $(#[doc = $doc])+
        pub trait Serve { $(
            $(#[doc = $mdoc])+
            #[allow(clippy::too_many_arguments)]
            fn $method(&mut self, client: $crate::Badge $(, $arg: $ty)*) -> Result<$ret, Error>;
        )* }

        /// Calls the method that the request names, and makes the answer.
        pub fn dispatch<S: Serve + ?Sized>(server: &mut S, client: $crate::Badge, request: &$crate::Message) -> $crate::Message {
            #[allow(unused_mut)]
            let mut reader = request.reader();
            match request.label {
                $( $label => {
                    $( let Some($arg) = <$ty as $crate::Wire>::take(&mut reader) else {
                        return $crate::interface::answer::<(), Error>(Err(Error::Malformed));
                    }; )*
                    if !reader.is_empty() {
                        return $crate::interface::answer::<(), Error>(Err(Error::Malformed));
                    }
                    $crate::interface::answer(server.$method(client $(, $arg)*))
                } )*
                _ => $crate::interface::answer::<(), Error>(Err(Error::Malformed)),
            }
        }

        $(#[doc = $doc])+
        #[derive(Debug)]
        pub struct Client<T: $crate::Transport>(pub T);
        impl<T: $crate::Transport> Client<T> { $(
            $(#[doc = $mdoc])+
            pub fn $method(&mut self $(, $arg: $ty)*) -> Result<$ret, Error> {
                #[allow(unused_mut)]
                let mut request = $crate::Message::new($label);
                $( $crate::Wire::put(&$arg, &mut request); )*
                $crate::call(&mut self.0, &request, $crate::interface!(@repeat $repeat))
            }
        )* }
    };
    (@repeat idempotent) => { $crate::Repeat::Idempotent };
    (@repeat once) => { $crate::Repeat::Once };
}
