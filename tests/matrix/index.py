"""The fault matrix: every row, and the tests that are about it. test_index.py checks that all of them exist."""

LOST = "tests/engine/test_lost_answers.py::"
UNKNOWN = "tests/engine/test_unknown.py::"
FILLS = "tests/engine/test_fills.py::"
REFUSALS = "tests/engine/test_refusals.py::"
REVERSAL = "tests/engine/test_reversal.py::"
ALERTS = "tests/engine/test_alerts.py::"
CANCEL = "tests/engine/test_cancel.py::"
KILLED = "tests/crash/test_killed.py::"
TRANSPORT = "tests/connectors/bitmart/test_transport.py::"
ERRORS = "tests/connectors/bitmart/test_errors.py::"
BUDGET = "tests/connectors/test_budget.py::"
WEBHOOK = "tests/alerts/test_webhook_database.py::"
BOOKS = "tests/matrix/test_reconciliation.py::"
KEYS = "tests/matrix/test_keys.py::"
SWITCH = "tests/matrix/test_kill_switch.py::"
ABSENCE = "tests/engine/test_absence.py::"
OUTAGE = "tests/engine/test_outage.py::"
VERSIONS = "tests/matrix/test_versions.py::"

ROWS: dict[str, tuple[str, ...]] = {
    "repeated delivery": (
        "tests/line/test_redelivery.py::test_four_deliveries_five_seconds_apart_make_one_order",
        "tests/line/test_redelivery.py::test_an_id_counts_once_for_ever",
    ),
    "equal partial exits 5 ms apart": (
        "tests/line/test_redelivery.py::test_two_equal_partial_exits_in_one_instant_both_run",
    ),
    "database down at the webhook": (
        f"{WEBHOOK}test_refused_connection_is_503_until_the_database_is_back",
        f"{WEBHOOK}test_connection_lost_while_storing_is_503_and_the_next_delivery_is_stored",
    ),
    "database down after commit": (f"{ALERTS}test_database_that_is_away_is_not_held_against_the_alert",),
    "database down at the second write": (
        f"{ALERTS}test_database_that_goes_away_after_the_order_is_out_leaves_a_row_to_go_on_from",
    ),
    "Redis down": (
        f"{BUDGET}test_no_redis_at_all_is_a_quarter",
        f"{KILLED}test_sweeper_alone_runs_an_alert_that_woke_nobody",
    ),
    "Redis hung": (
        f"{KILLED}test_alerts_are_taken_and_run_while_redis_hangs",
        "tests/alerts/test_webhook_wakeups.py::test_delivery_is_answered_while_the_broker_hangs",
    ),
    "Redis flushed": (f"{BUDGET}test_redis_that_lost_its_count_does_not_make_a_worker_overdraw",),
    "Redis restarted": (f"{BUDGET}test_without_redis_a_quarter_is_left_and_redis_is_let_alone_for_ten_seconds",),
    "beat and all workers dead": (f"{KILLED}test_sweeper_alone_runs_an_alert_that_woke_nobody",),
    "SIGKILL in each window": (
        "tests/crash/test_points.py::test_entry_of_a_killed_worker_is_finished_once",
        "tests/crash/test_points.py::test_exit_of_a_killed_worker_is_finished_once",
        f"{KILLED}test_worker_killed_before_it_reads_the_answer",
    ),
    "worker frozen between signing and sending": (
        f"{LOST}test_worker_that_wakes_up_after_the_fence_places_nothing",
        f"{KILLED}test_worker_frozen_while_it_sends_wakes_up_to_a_finished_order",
    ),
    "connection refused": (f"{TRANSPORT}test_a_refused_connection_sent_nothing",),
    "DNS": (f"{TRANSPORT}test_a_name_that_does_not_resolve_sent_nothing",),
    "TLS": (
        f"{TRANSPORT}test_a_failed_handshake_sent_nothing",
        f"{TRANSPORT}test_a_handshake_without_an_answer_sent_nothing",
    ),
    "timeout with the order placed": (
        f"{LOST}test_placed_order_with_a_lost_answer_is_found_and_filled",
        f"{LOST}test_placed_spot_order_with_a_lost_answer_is_found_and_filled",
    ),
    "timeout with the order not placed": (
        f"{LOST}test_entry_that_was_not_placed_is_proved_absent_and_never_sent_again",
        f"{LOST}test_exit_that_was_not_placed_is_sent_again_under_the_same_id_for_what_is_held",
    ),
    "5xx before and after acceptance": (
        f"{LOST}test_placed_order_with_a_lost_answer_is_found_and_filled",
        f"{LOST}test_entry_that_was_not_placed_is_proved_absent_and_never_sent_again",
    ),
    "HTML": (f"{ERRORS}test_html_is_never_an_exchange_answer",),
    "truncated": (f"{ERRORS}test_broken_json_proves_nothing",),
    "unknown code": (f"{ERRORS}test_an_unlisted_code_proves_nothing",),
    "429": (f"{REFUSALS}test_rate_limited_order_is_sent_once_more_after_the_wait",),
    "418": (
        f"{BUDGET}test_a_ban_stops_everything_of_the_address_for_exits_too",
        f"{ERRORS}test_rate_limits_say_how_long",
    ),
    "403": (f"{ERRORS}test_html_is_never_an_exchange_answer",),
    "duplicate-id answer": (
        f"{REFUSALS}test_answer_that_the_id_is_known_makes_the_order_looked_for",
        f"{ABSENCE}test_order_whose_id_the_exchange_knows_is_never_taken_for_absent",
    ),
    "not found for 20 s and then found": (
        f"{UNKNOWN}test_order_not_shown_for_a_while_is_found_in_the_end",
        f"{UNKNOWN}test_order_shown_only_after_the_fence_is_not_taken_for_absent",
    ),
    "another order in the answer": (
        "tests/connectors/bitmart/test_find_order.py::test_futures_history_with_an_ignored_filter_is_compared_here",
        "tests/connectors/bitmart/test_find_order.py::test_futures_fills_of_a_stranger_are_not_ours",
        f"{ABSENCE}test_order_just_like_it_under_another_id_keeps_a_limit_order_in_doubt",
    ),
    "partial fill then cancel": (f"{FILLS}test_cancelled_order_keeps_the_fills_it_had",),
    "fill during cancel": (f"{CANCEL}test_fill_during_the_cancellation_is_recorded",),
    "fill after CANCELED": (f"{CANCEL}test_fill_that_is_told_after_the_cancellation_is_recorded",),
    "stop-loss refused after entry": (
        "tests/engine/test_protection.py::test_refused_stop_raises_the_alarm_and_does_what_was_chosen",
    ),
    "fills twice": (f"{FILLS}test_fills_told_again_change_nothing",),
    "fills reversed": (f"{FILLS}test_fills_told_newest_first_end_the_same",),
    "fills missing": (f"{FILLS}test_fills_never_told_of_an_ended_order_are_inferred_once",),
    "business rejections": (
        f"{REFUSALS}test_order_refused_by_the_exchange_is_rejected_with_its_sentence",
        f"{ERRORS}test_listed_refusals_are_rejections_whatever_the_status",
    ),
    "key revoked flat": (f"{KEYS}test_key_revoked_while_flat_switches_entries_off_and_comes_back_by_itself",),
    "key revoked with a position": (
        f"{KEYS}test_key_revoked_with_a_position_keeps_trying_its_exit_each_minute",
        f"{KEYS}test_exit_order_refused_for_its_key_waits_and_is_sent_once_the_key_is_right",
    ),
    "key that reads and may not trade": (
        f"{KEYS}test_key_that_reads_and_may_not_trade_switches_entries_off_until_an_order_is_taken",
        f"{KEYS}test_exits_refused_for_the_key_open_the_switch_and_the_exit_that_is_taken_closes_it",
    ),
    "withdrawal permission appearing": (
        f"{KEYS}test_withdrawal_permission_appearing_is_found_by_the_daily_check_and_blocks_entries",
    ),
    "connector deleted with a position": (
        "tests/matrix/test_flatten.py::test_connector_deleted_with_a_position_asks_for_an_acknowledgement_that_lists_it",
    ),
    "reversal with close rejected": (f"{REVERSAL}test_rejected_close_gives_the_open_leg_up",),
    "reversal with close partial": (f"{REVERSAL}test_rest_still_open_after_the_close_denies_the_open_leg",),
    "reversal with close unknown": (
        f"{REVERSAL}test_open_leg_waits_while_the_close_is_in_doubt_and_goes_once_it_is_found",
        f"{REVERSAL}test_open_leg_that_waited_too_long_is_not_sent",
    ),
    "reversal with open rejected": (f"{REVERSAL}test_open_leg_in_doubt_is_not_sent_again",),
    "half of all calls ambiguous": (
        f"{OUTAGE}test_entries_are_refused_by_name_and_the_exit_goes_out",
        f"{OUTAGE}test_planned_entry_that_was_not_sent_yet_is_not_sent",
        f"{OUTAGE}test_half_open_one_entry_tries_and_closes_it",
        "tests/connectors/test_outages.py::test_half_of_at_least_ten_calls_open_it",
        "tests/connectors/test_outages.py::test_another_venue_is_left_alone",
    ),
    "clock off by 3, 30, 120 s": (
        "tests/matrix/test_clock.py::test_clock_that_is_off_and_measured_stops_entries_only_when_it_is_far_off",
        "tests/matrix/test_clock.py::test_exit_goes_out_although_the_clock_has_just_jumped",
    ),
    "clock jumping": (
        "tests/matrix/test_clock.py::test_clock_that_jumps_while_an_exit_is_under_way_brings_no_fence_forward",
        "tests/matrix/test_clock.py::test_clock_that_jumps_back_while_an_order_is_in_doubt_only_makes_it_wait",
    ),
    "alerts 30, 119, 121 s old": ("tests/matrix/test_ages.py::test_entry_that_nobody_ran_for_a_while",),
    "exits an hour old": (
        "tests/matrix/test_ages.py::test_exit_that_nobody_ran_for_a_while_still_closes",
        "tests/matrix/test_ages.py::test_exit_an_hour_old_does_not_close_a_position_opened_after_it",
    ),
    "64-bit ids": (
        "tests/connectors/bitmart/test_wire.py::test_ids_become_text",
        "tests/paper/test_futures.py::test_the_order_id_is_a_number_on_submit_and_text_on_read",
    ),
    "18 decimals": (
        "tests/connectors/bitmart/test_wire.py::test_exact_numbers",
        "tests/trading/pure/test_accounting_invariants.py::test_order_and_repeats_change_nothing",
    ),
    "500 alerts in a second for one workspace while others trade": (
        "tests/matrix/test_crowd.py::test_all_of_a_crowd_are_kept_and_others_wait_for_a_turn_of_it_and_not_for_its_end",
        "tests/matrix/test_crowd.py::test_no_second_symbol_of_a_connector_comes_before_the_first_of_another",
    ),
    "trial end": (f"{REFUSALS}test_entries_are_denied_and_exits_run",),
    "downgrade": (f"{SWITCH}test_with_a_position_open_entries_stop_and_its_exit_goes_out",),
    "maintenance": (
        "tests/matrix/test_maintenance.py::test_order_met_by_maintenance_is_in_doubt_and_proved_absent_once_it_is_over",
        "tests/matrix/test_maintenance.py::test_exit_met_by_maintenance_goes_out_once_it_is_over",
    ),
    "pause": (f"{REFUSALS}test_entries_are_denied_and_exits_run",),
    "position closed by hand": (
        f"{BOOKS}test_position_closed_by_hand_is_taken_over_after_three_readings_and_labelled_not_ours",
    ),
    "position liquidated": (f"{BOOKS}test_position_liquidated_is_taken_over_and_called_by_its_name",),
    "position query failing": (
        f"{BOOKS}test_position_query_failing_is_no_news",
        f"{ALERTS}test_account_that_cannot_be_read_is_no_flat_account",
    ),
    "position query empty": (
        f"{BOOKS}test_position_query_without_data_is_no_news",
        f"{BOOKS}test_position_list_that_is_empty_by_mistake_is_asked_again_by_symbol",
    ),
    "hedge against one-way": (
        f"{BOOKS}test_hedge_books_against_our_one_position_is_an_incident_and_nothing_is_taken_over",
    ),
    "kill switch with a position": (
        f"{SWITCH}test_with_a_position_open_entries_stop_and_its_exit_goes_out",
        f"{SWITCH}test_halted_with_a_position_open_nothing_is_sent",
    ),
    "SIGTERM under load": (f"{KILLED}test_worker_asked_to_stop_finishes_what_it_is_sending",),
    "old and new version together": (
        f"{VERSIONS}test_columns_added_under_running_processes_cost_no_alert",
        f"{VERSIONS}test_what_a_migration_adds_is_left_out_by_the_release_before_it",
        f"{VERSIONS}test_order_in_a_state_of_the_other_release_is_let_alone_and_holds_up_its_symbol",
        f"{VERSIONS}test_alert_in_a_status_of_the_other_release_is_not_run",
        f"{VERSIONS}test_plan_of_another_form_is_shown_as_such_and_not_replayed",
        f"{KILLED}test_worker_goes_on_after_a_wake_up_of_another_release",
    ),
    "disk full, busy database, empty pool": (f"{WEBHOOK}test_refused_connection_is_503_until_the_database_is_back",),
    "poison alert": (
        f"{ALERTS}test_alert_that_raises_blocks_its_symbol_for_three_tries_only",
        f"{ALERTS}test_delivery_that_cannot_be_read_stops_no_other_and_is_put_aside",
    ),
    "missing credential key": (
        f"{REFUSALS}test_key_that_cannot_be_opened_trades_nothing",
        f"{REFUSALS}test_key_that_can_no_longer_be_opened_leaves_the_sent_order_in_doubt_and_due",
    ),
    "new state or field": (f"{FILLS}test_state_we_do_not_know_moves_nothing_and_stays_due",),
    "limits halved": (f"{BUDGET}test_a_smaller_limit_than_documented_is_believed",),
}
