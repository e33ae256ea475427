//! The store on real servers: what it sends, what it does when they fail, and what it leaves
//! behind.

#[path = "../support/mod.rs"]
mod support;

mod crashes;
mod index;
mod keys;
mod many;
mod outages;
mod outcomes;
mod refusals;
mod round_trips;
mod sentinels;
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
        start: what_is_wrong_is_said_at_start_without_the_password, errors_name_the_cause_and_the_address, a_password_file_is_read_for_each_connection,
            an_application_is_asked_for_credentials_at_each_connection, an_existing_client_gives_its_settings,
            a_start_in_the_background_waits_for_the_server, a_start_in_the_background_says_what_waiting_does_not_mend, timeouts_without_an_end_are_cut, prefixes_keep_applications_apart,
            a_user_with_few_rights_is_enough;
        keys: a_session_is_what_the_guide_says_and_holds_no_secret, corrupt_records_are_missing_and_kept,
            each_byte_of_the_secret_counts, a_retired_secret_of_an_expired_session_is_missing,
            records_of_a_later_release_are_errors_and_kept, a_key_of_another_type_is_missing_and_kept,
            redis_forgets_a_session_after_its_deadline_and_a_grace, limits_without_an_end_are_kept,
            a_delta_may_be_about_thousands_of_values,
            an_owners_index_goes_with_its_sessions;
        outages: a_frozen_server_is_noticed_once_and_then_calls_fail_fast, a_caller_that_gives_up_raises_the_alarm,
            a_server_that_was_killed_is_used_again, killed_connections_are_replaced, a_broken_connection_is_replaced_unnoticed, a_slow_answer_is_waited_for,
            large_answers_on_a_slow_network_are_waited_for_and_hold_up_no_write,
            an_idle_store_notices_that_the_server_is_gone;
        refusals: a_full_server_refuses_writes_but_lets_sessions_end, a_replica_refuses_until_it_is_a_primary,
            a_changed_password_is_told_and_survived;
        outcomes: no_acknowledged_increment_is_lost_by_a_crash, a_broken_connection_counts_nothing_twice;
        crashes: a_sign_in_may_break_off_anywhere, a_sign_in_may_be_held_up_anywhere,
            a_look_at_the_index_may_break_off_or_be_held_up_anywhere,
            a_new_session_of_an_owner_may_break_off_anywhere, a_new_session_is_found_though_it_broke_off_after_a_revocation, a_revocation_may_break_off_anywhere,
            a_refused_sign_in_leaves_the_entry_of_another,
            stale_entries_are_dropped_when_met;
        index: nobody_without_the_secret_leaves_a_trace_or_ends_a_session, a_creation_with_a_taken_id_ends_nobody,
            a_stranger_who_is_spared_once_is_not_ended_the_next_time,
            a_sign_in_that_broke_off_costs_its_session_nothing_a_minute_later,
            what_the_index_lost_is_revoked_at_the_next_touch, what_the_index_lost_is_back_at_the_next_touch,
            a_session_from_after_a_revocation_outlives_the_loss_of_its_entry,
            a_sign_in_of_the_future_does_not_outlive_a_revocation,
            a_sign_in_ends_what_a_broken_off_revocation_left,
            who_signs_in_again_must_have_proved_it_after_the_last_revocation,
            an_earlier_sign_in_is_revoked_though_a_later_one_overtakes_it,
            a_sign_in_is_revoked_though_the_index_was_lost_meanwhile,
            new_limits_do_not_take_a_broken_off_revocation_back, a_session_that_was_revoked_is_not_spared_later,
            a_session_that_is_spared_may_be_signing_in, the_index_is_asked_once_per_touch_interval,
            a_record_of_the_earlier_version_is_read_and_looked_up;
        many: sign_ins_that_broke_off_hold_nobody_up_and_are_tidied_up, many_sessions_are_listed_and_revoked_in_pages,
            some_sessions_cost_as_much_whatever_their_number;
        sentinels: the_master_is_found, a_user_of_the_sentinels_needs_few_rights, a_planned_fail_over_loses_nothing_later,
            a_master_that_is_cut_off_is_left;
        topologies: a_cluster_serves_while_a_node_is_down, a_clusters_replica_takes_over, a_primary_that_is_cut_off_is_left,
            what_a_dying_primary_lost_of_an_index_can_be_revoked, a_session_goes_on_while_the_node_of_its_index_is_down,
            a_slot_may_move_under_load, encrypted_connections_check_the_certificate;
    ])
}
