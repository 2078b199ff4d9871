//! All models, one file per rule, in one binary: a seeded bug is caught by whichever model sees it.

mod admission;
mod budget;
mod doorbell;
mod group_commit;
mod maintenance_calls;
mod pins;
mod published_halt;
mod published_view;
mod queue_answer;
mod queue_disconnect;
mod queue_order;
mod queue_room;
mod room;
mod seeded_bugs;
mod told_of_halt;
mod world;
