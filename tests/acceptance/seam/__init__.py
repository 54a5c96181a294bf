"""The public seam, sentence by sentence, and the tests that hold each (`test_checklist.py` keeps this list complete).

createJobQueue
  makes a queue in an empty or missing directory
    test_a_queue_is_made_in_a_missing_directory test_a_queue_is_made_in_an_empty_directory
    test_a_relative_location_is_meant_from_here
  otherwise ValueError: not empty, a parent that is missing, a file
    test_no_queue_is_made_in_a_directory_that_is_not_empty test_no_queue_is_made_where_there_is_one
    test_no_queue_is_made_below_a_missing_directory test_no_queue_is_made_in_the_place_of_a_file
    test_of_two_who_make_a_queue_in_one_place_one_is_told_so
    test_of_two_who_make_a_queue_in_one_empty_directory_one_is_told_so
  default procedures are ready for use
    test_the_default_procedures_are_ready_for_use
  keepJobsInRepository: sub-jobs lie flat instead of nested
    test_with_keep_jobs_in_repository_sub_jobs_lie_flat test_sub_jobs_lie_in_one_another
  useSymLinks: a shared sub-job is a symbolic link in its other parents, and nothing depends on it
    test_with_symbolic_links_a_shared_sub_job_appears_in_each_parent test_nothing_depends_on_the_symbolic_links
    test_without_the_setting_there_is_no_symbolic_link
defaultJobQueueLocation
  the environment's queue directory or None
    test_the_default_location_is_the_environments test_without_the_environment_there_is_no_default_location
JobQueue
  attaches; the directory must exist
    test_attaching_needs_a_queue
  None is an empty queue that takes no jobs; another type is a TypeError
    test_a_queue_of_none_is_empty_and_takes_no_jobs test_a_location_of_another_type_is_a_type_error
  a logger of one's own
    test_a_logger_is_told_what_happens test_what_an_error_says_begins_no_line_of_the_log
    test_each_queue_object_of_a_process_has_its_own_logger
  holds nothing in memory: any number of objects and processes
    test_a_queue_object_holds_nothing_in_memory test_another_process_sees_the_same_queue
JobQueue.location
  absolute path or None
    test_the_location_is_absolute test_a_queue_of_none_is_empty_and_takes_no_jobs
JobQueue.createJobRoot, createJob
  a new JobRoot; the two are the same
    test_a_root_is_created_with_type_and_parameters test_create_job_is_the_same_as_create_job_root
    test_a_root_needs_no_procedure
  parameters are checked at once by making the procedure; an unknown type is a ValueError
    test_parameters_are_checked_at_once_by_making_the_procedure test_an_unknown_type_is_a_value_error
JobQueue.listJobs
  handles of the top-level jobs, in processing order
    test_jobs_are_listed_in_processing_order test_numbers_are_compared_as_numbers test_only_what_is_published_is_listed
JobQueue.deleteJobs
  one handle, a sequence or None; a job that is gone is no error
    test_one_handle_is_deleted test_several_handles_are_deleted test_none_deletes_nothing
    test_a_job_that_is_gone_is_no_error test_a_sub_job_is_not_deleted_alone
  when it returns nobody can take the job up, and attempts under way are being ended
    test_nobody_takes_up_a_deleted_job
    test_nobody_takes_up_the_rest_of_a_job_of_which_something_still_runs
    test_a_worker_that_has_listed_the_job_before_does_not_get_it_either
    test_attempts_under_way_are_ended test_a_job_that_is_deleted_while_it_runs_leaves_nothing_behind
    test_the_number_of_a_deleted_job_is_not_used_again
  OSError where it cannot be deleted
    (test_bad_share.py) test_a_job_that_cannot_be_deleted_is_an_os_error_and_is_not_run_any_more
JobQueue.runNextAvailableJob
  runs the next job in this process, whose working directory is afterwards what it was
    test_it_runs_the_next_job_in_this_process test_the_working_directory_is_afterwards_what_it_was
    test_the_standard_streams_are_afterwards_what_they_were
    test_a_keyboard_interrupt_ends_the_call_and_gives_the_job_back
  True if one was run, even if it failed; False if none is ready
    test_it_says_true_also_when_the_job_has_failed test_it_says_false_when_no_job_is_ready
  JobQueueError when ready jobs were seen in each try and lost
    test_losing_a_ready_job_at_every_try_is_an_error test_losing_the_last_ready_job_is_no_error
  registers at the first call, beats from a thread, unregisters at exit or after 30 s
    test_the_process_registers_at_its_first_call test_it_beats_from_a_thread_while_a_job_runs
    test_it_unregisters_when_the_process_ends test_it_unregisters_after_30_s_without_a_call
    test_a_process_that_calls_now_and_then_holds_nothing_in_between
  after a fork it registers anew; a second thread inside gets JobQueueError
    test_a_forked_child_registers_anew test_a_second_thread_inside_gets_an_error
    test_a_child_that_is_forked_while_another_thread_runs_a_job_does_not_act_as_that_worker
  a request to end a job is kept until the job has begun
    test_a_request_that_is_read_between_the_claim_and_the_beginning_of_a_job_is_kept_for_it
JobRoot, Job
  a hierarchy under construction
    test_a_root_is_made_with_its_queue_type_and_parameters test_a_job_is_made_with_its_root_type_and_parameters
    test_a_root_needs_a_queue_and_a_job_a_root
Job.createJob
  a new sub-job that this job depends on
    test_a_sub_job_is_one_that_this_job_depends_on test_parameters_of_a_sub_job_are_checked_at_once
Job.addDependency
  this job runs after that one
    test_a_job_runs_after_those_that_it_depends_on
  itself, the root, or a job of another hierarchy: ValueError
    test_some_dependencies_are_value_errors test_a_root_cannot_depend_on_itself test_a_dependency_is_a_job
  indirectly implied dependencies are dropped at activation
    test_implied_dependencies_are_dropped_at_activation
JobRoot.activate
  checks for cycles
    test_a_cycle_is_an_error_and_changes_nothing test_a_cycle_beside_the_root_is_one_too
    test_a_job_that_nobody_depends_on_is_an_error_and_changes_nothing
  publishes the whole hierarchy at once
    test_activation_publishes_the_whole_hierarchy_at_once test_activation_gives_the_handle_of_the_new_job
    test_several_submitters_at_once_get_numbers_of_their_own
  before it nothing runs, after it nothing changes
    test_before_activation_nothing_is_there_and_nothing_runs test_after_activation_nothing_changes_any_more
JobHandle
  location, label, number
    test_location_label_and_number
    test_handles_are_the_same_if_they_are_of_the_same_job
  submitTime, startTime, endTime: seconds since the epoch or None
    test_times_are_seconds_since_the_epoch_or_none test_a_running_job_has_a_start_and_no_end
  progress: 0 before the start, 100 after success, None if it cannot be read; statusLine: "" before the start
    test_before_the_start_progress_is_0_and_the_status_line_empty test_after_success_progress_is_100
    test_after_a_failure_progress_is_what_it_was test_a_job_that_is_tried_again_begins_at_0
    test_progress_that_cannot_be_read_is_none
    test_progress_and_status_line_are_seen_while_it_runs
  isWaiting, isRunning, isFinished, hasError; a job that failed is finished and has an error; str(handle)
    test_a_job_waits_runs_and_is_finished test_a_job_that_has_failed_is_finished_and_has_an_error
    test_a_job_that_waits_for_sub_jobs_is_waiting test_has_error_looks_below_only_if_it_is_told_to
    test_a_retried_job_shows_its_latest_attempt test_a_job_is_seen_running_in_another_process_by_several_readers
  setError on a waiting job fails it
    test_a_waiting_job_fails_at_once test_a_job_that_waits_for_sub_jobs_fails_at_once
    test_what_was_made_to_fail_can_be_retried
  setError on a running one tells its worker to
    test_the_worker_of_a_running_job_is_told_to_end_it test_only_the_job_that_was_meant_is_told
    test_a_script_that_runs_the_job_itself_lets_it_fail_when_it_returns
  setError on a finished one is a JobQueueError
    test_on_a_finished_job_it_is_an_error test_on_a_cancelled_job_it_is_an_error
  listSubJobs
    test_sub_jobs_are_listed_in_the_order_in_which_they_were_made_dependencies
  result
    test_a_python_job_has_a_result test_a_failed_job_has_an_error_instead_of_a_result
  paths of what lies on disk
    test_before_the_start_there_is_the_definition test_while_it_runs_there_are_worker_progress_and_output
    test_after_success_its_token_lies_in_the_finished_directory test_paths_of_a_sub_job_are_its_own
    test_after_a_failure_there_are_a_marker_and_a_traceback
    test_a_sub_jobs_directory_comes_into_being_with_its_first_attempt
  a deleted job
    test_every_question_about_a_deleted_job_is_answered_with_one_error
JobProc
  base of all procedures; may be constructed several times for one job
    test_a_procedure_has_a_label_or_none test_the_base_does_nothing_well
    test_a_procedure_may_be_constructed_several_times_for_one_job
    test_a_procedure_need_not_call_the_base_constructor
JobProc.run
  does the work, with runningDir as the working directory
    test_run_has_the_running_dir_as_its_working_directory test_the_job_and_its_commands_know_where_they_run
  an exception or setError() makes the job fail
    test_an_exception_makes_the_job_fail test_set_error_makes_the_job_fail_when_run_has_returned
    test_a_result_that_cannot_be_stored_makes_the_job_fail test_the_status_line_says_why_set_error_was_called
JobProc.postCreate
  called exactly once, in createJob, with the final directory, before anything is published
    test_post_create_is_called_once_at_creation_with_the_final_directory
    test_post_create_of_the_root_gets_the_top_level_directory
  a queue can be moved
    test_what_post_create_has_written_moves_along_with_the_queue test_no_file_of_the_queue_holds_its_path
    test_a_queue_that_was_moved_in_the_middle_goes_on
JobProc.execCmd
  runs a command line, returns the exit code
    test_the_exit_code_is_returned_and_decides_nothing test_a_signal_is_a_negative_exit_code
    test_a_text_is_a_shell_line_and_a_list_is_none test_a_command_works_in_the_running_dir
    test_a_command_may_have_a_directory_and_an_environment_of_its_own
    test_a_command_that_cannot_be_started_is_an_error
  captures both streams to the job's files
    test_both_streams_go_to_the_jobs_files_and_to_the_callbacks test_much_output_of_both_streams_blocks_nothing
    test_what_is_printed_before_stands_before test_bytes_that_are_no_text_do_no_harm
  calls the callbacks for every line, from 1
    test_lines_are_counted_from_1_in_each_command test_a_carriage_return_ends_a_line
    test_a_line_end_that_comes_in_two_pieces_is_one test_a_last_line_needs_no_end
    test_a_line_is_handed_over_when_it_is_written
    test_an_exception_in_a_callback_ends_the_command_and_fails_the_job
JobProc.setProgress, setStatusLine, setError, runningDir, label, stdout, stderr
  as named; progress is clamped; the streams are open text files during run()
    test_progress_is_clamped test_the_streams_are_open_text_files_while_it_runs test_text_of_any_language_is_printed
    test_the_label_is_the_procedures_own test_outside_of_a_run_a_procedure_has_no_directory_and_says_nothing
JobQueueError
  base of this project's errors
    test_every_error_of_the_project_is_a_job_queue_error
Parameters
  come back exactly equal and of the same types
    test_any_nested_value_comes_back_equal_and_of_the_same_types test_a_worker_gets_every_type_as_it_was_submitted
    test_another_process_gets_every_type_as_it_was_submitted test_not_a_number_comes_back_as_such
    test_changing_a_value_after_creation_changes_nothing
  anything else is a TypeError that names the parameter, when the job is created
    test_anything_else_is_a_type_error_that_names_the_parameter test_a_key_that_cannot_be_stored_is_named_too
    test_a_value_that_contains_itself_is_a_type_error
Options
  no parameters of the procedure: set before activation on Job.options, a validated record
    test_options_are_none_before_they_are_set test_options_are_set_on_the_job_and_stored_with_it
    test_an_option_can_be_taken_back test_an_option_is_no_parameter_of_the_procedure
    test_a_value_out_of_range_is_a_value_error test_an_unknown_option_is_an_error
    test_the_priority_is_the_whole_hierarchys
  defaults in queue.cfg under [main] and [NAME proc]
    test_options_have_defaults_in_the_configuration test_a_timeout_ends_an_attempt
Procedures
  a type name is a built-in, a file in procs/, an entry point, or package.module:Class
    test_a_built_in_one test_a_file_in_procs test_an_entry_point test_a_dotted_name
    test_a_built_in_one_is_not_replaced_by_a_file test_a_changed_file_is_taken_up_by_a_new_process
    test_a_job_without_a_procedure_takes_a_label_only
  [NAME proc] gives default parameters
    test_default_parameters_stand_in_the_configuration test_default_parameters_are_python_literals_else_text
Depth-first
  post-order, siblings in the order in which they were made dependencies, top-level jobs one after the other
    test_the_order_is_post_order test_siblings_run_in_the_order_in_which_they_were_made_dependencies
    test_a_parent_that_becomes_ready_in_the_middle_runs_next test_a_job_that_was_retried_takes_its_old_place
    test_a_priority_that_changes_in_the_middle_holds_from_the_next_job_on
    test_a_job_that_is_retried_in_the_middle_runs_next
  a failed sub-job keeps its ancestors waiting; its siblings go on
    test_a_failed_sub_job_keeps_its_ancestors_waiting_and_its_siblings_go_on
    test_a_stalled_hierarchy_does_not_keep_others_waiting
  stalled: whoever waits is told so, with the names of the failed jobs
    test_a_hierarchy_is_stalled_when_nothing_is_left_but_failures
    test_whoever_waits_for_a_stalled_hierarchy_is_told_which_jobs_have_failed
  chains and fans of 10,000 are ordinary
    test_a_chain_of_10000_jobs_is_ordinary test_a_fan_of_10000_jobs_is_ordinary
    test_below_a_depth_of_8_sub_jobs_lie_flat
"""
