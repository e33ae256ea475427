//! The store on real servers: what it sends, what it does when they fail, and what it leaves behind.

#[path = "../support/mod.rs"]
mod support;

mod crashes;
mod keys;
mod outages;
mod outcomes;
mod refusals;
mod round_trips;
mod start;
mod topologies;

use std::process::ExitCode;

use support::{Check, block_on, run};

/// Lists async functions as checks of their own names.
macro_rules! checks {
    ($($module:ident: $($check:ident),+ $(,)?;)+) => {
        vec![$($(Check::new(
            concat!(stringify!($module), "::", stringify!($check)),
            || block_on($module::$check()),
        )),+),+]
    };
}

fn main() -> ExitCode {
    run(checks![
        round_trips: each_call_is_one_round_trip, flushed_scripts_are_sent_anew;
        start: what_is_wrong_is_said_at_start_without_the_password, an_existing_client_gives_its_settings,
            a_start_in_the_background_waits_for_the_server, prefixes_keep_applications_apart,
            a_user_with_few_rights_is_enough;
        keys: a_session_is_what_the_guide_says_and_holds_no_secret, corrupt_records_are_missing_and_kept,
            records_of_a_later_release_are_errors_and_kept, a_key_of_another_type_is_missing_and_kept,
            redis_forgets_a_session_after_its_deadline_and_a_grace, limits_without_an_end_are_kept,
            a_delta_may_be_about_thousands_of_values,
            an_owners_index_goes_with_its_sessions;
        outages: a_frozen_server_is_noticed_once_and_then_calls_fail_fast, a_caller_that_gives_up_raises_the_alarm,
            a_server_that_was_killed_is_used_again, killed_connections_are_replaced, a_broken_connection_is_replaced_unnoticed, a_slow_answer_is_waited_for,
            an_idle_store_notices_that_the_server_is_gone;
        refusals: a_full_server_refuses_writes_but_lets_sessions_end, a_replica_refuses_until_it_is_a_primary,
            a_changed_password_is_told_and_survived;
        outcomes: no_acknowledged_increment_is_lost_by_a_crash, a_broken_connection_counts_nothing_twice;
        crashes: a_sign_in_may_break_off_anywhere, a_sign_in_may_be_held_up_anywhere,
            a_new_session_of_an_owner_may_break_off_anywhere, a_new_session_is_found_though_it_broke_off_after_a_revocation, a_revocation_may_break_off_anywhere,
            a_refused_sign_in_leaves_the_entry_of_another,
            stale_entries_are_dropped_when_met;
        topologies: sentinels_name_the_master, a_cluster_serves_while_a_node_is_down, a_clusters_replica_takes_over,
            a_slot_may_move_under_load, encrypted_connections_check_the_certificate;
    ])
}
