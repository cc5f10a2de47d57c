-- Deliveries of a commit, or of one that begins so. Builds have such an index: they are unique by
-- their commits.

CREATE INDEX deliveries_commit ON deliveries (object, seq);
