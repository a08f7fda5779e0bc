//! No task is run twice, whatever happens to requests, answers and controllers.
