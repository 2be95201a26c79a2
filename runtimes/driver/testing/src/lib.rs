//! What every driver of a node does, told once: stories in which nodes are reached through their
//! handles alone.
//!
//! A driver on sockets implements [`Runtime`] and says [`driver_suite!`](crate::driver_suite), and
//! [`costs!`](crate::costs) in a test binary of its own. The simulator implements [`World`] and says
//! [`behaviour!`](crate::behaviour!): the same stories in virtual time. What only a socket, a thread
//! or an allocation can show is in [`on_sockets`] and [`memory`].

#![allow(clippy::unwrap_used)] // All of this is tests.

pub mod behaviour;
pub mod hundred_nodes;
pub mod memory;
pub mod on_sockets;
mod world;

#[doc(hidden)] // For macros.
pub use khashmir_driver as driver;
pub use on_sockets::{OnSockets, Runtime};
pub use world::{World, config, story};

/// Tests of the whole suite on a [`Runtime`].
#[macro_export]
macro_rules! driver_suite {
    ($runtime:ty) => {
        $crate::behaviour!($crate::OnSockets<$runtime>);
        $crate::stories!($crate::OnSockets<$runtime>, on_sockets: {
            a_shutdown_closes_the_sockets,
            a_taken_port_is_named,
            nothing_lingers_after_the_last_handle,
            what_is_recorded_replays_bit_for_bit,
        });
    };
}

/// How a [`Runtime`] starts nodes, out of the `Dht` of the driver.
#[macro_export]
macro_rules! starts {
    ($dht:ty) => {
        fn start(
            &self,
            sockets: $crate::driver::Sockets,
            setup: $crate::driver::Setup,
        ) -> std::io::Result<$crate::driver::Handle> {
            <$dht>::start(sockets, setup).map(|dht| std::ops::Deref::deref(&dht).clone())
        }
    };
}

/// Tests of what drivers do in any [`World`].
#[macro_export]
macro_rules! behaviour {
    ($world:ty) => {
        $crate::stories!($world, behaviour: {
            what_one_puts_the_other_gets_in_either_family,
            one_node_speaks_both_families,
            a_published_value_survives_a_restart_of_its_publisher,
            events_tell_of_the_outside_address,
            a_shutdown_ends_everything,
            the_loss_of_the_last_handle_ends_the_node,
            what_cannot_be_done_is_said,
            nobody_answers_where_nobody_is,
            too_many_operations_are_refused,
            a_slow_reader_holds_nobody_up,
            many_operations_run_at_a_time,
            whoever_gives_up_leaves_no_operation_behind,
        });
        $crate::stories!($world, hundred_nodes: { whatever_one_puts_any_other_finds });
    };
}

/// A test for each of these stories.
#[macro_export]
macro_rules! stories {
    ($world:ty, $module:ident: { $($story:ident),+ $(,)? }) => {
        $(
            #[test]
            fn $story() {
                $crate::story(async |world: &$world| $crate::$module::$story(world).await);
            }
        )+
    };
}

/// Tests of what a [`Runtime`] costs, on one that its driver has to itself. They count allocations,
/// and so belong in a test binary of their own.
#[macro_export]
macro_rules! costs {
    ($runtime:ty) => {
        #[global_allocator]
        static ALLOCATOR: $crate::memory::Counting = $crate::memory::Counting;

        #[test]
        fn answering_queries_allocates_nothing() {
            $crate::memory::answering_queries_allocates_nothing::<$runtime>();
        }

        #[test]
        fn ten_thousand_abandoned_operations_leave_nothing_behind() {
            $crate::memory::ten_thousand_abandoned_operations_leave_nothing_behind::<$runtime>();
        }
    };
}
