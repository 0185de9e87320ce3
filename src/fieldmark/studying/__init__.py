"""A study from its call to its page: photos, trials, effects, the best recipe's run."""
