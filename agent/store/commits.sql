-- Deliveries of a commit, or of one that begins so. Builds have such an index: they are unique by
-- their commits. And the build of a Job, which is asked for with each look at one that goes on.

CREATE INDEX deliveries_commit ON deliveries (object, seq);
CREATE INDEX builds_job ON builds (job);
