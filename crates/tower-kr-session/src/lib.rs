//! Server-side HTTP sessions for tower.
