//! All models, one file per rule, in one binary: a seeded bug is caught by whichever model sees it.

mod admission;
mod budget;
mod checkpoint_pin;
mod doorbell;
mod follower;
mod group_commit;
mod maintenance_calls;
mod parked_fetch;
mod pins;
mod published_halt;
mod published_view;
mod queue_answer;
mod queue_disconnect;
mod queue_order;
mod queue_room;
mod read_gate;
mod receiver_wakes;
mod replica_stages;
mod room;
mod run_numbers;
mod seeded_bugs;
mod shown;
mod supervisor_calls;
mod told_of_halt;
mod world;
