"""Pictures and pages of what a run did and what a network sees."""
