#!lua flags=allow-cross-slot-keys
-- Store the checkpoint of a partition of `fanout`, in each group of timelines.
--
-- KEYS     none, or the only key that the call uses; all are keys of this server
-- ARGV[1]  the expected checkpoint, or '' if none is expected
-- ARGV[2]  the new checkpoint: the next offset to apply
-- ARGV[3…] the partition's checkpoints, of groups on this server
-- returns  how many are others, because their timelines were lost or came back older; these stay
--
-- Atomic, because a write without the comparison would hide that records are missing. A group that has
-- the new checkpoint already has all that it says: the call was repeated.

local different = 0
for at = 3, #ARGV do
  local stored = redis.call('GET', ARGV[at]) or ''
  if stored == ARGV[1] then
    redis.call('SET', ARGV[at], ARGV[2])
  elseif stored ~= ARGV[2] then
    different = different + 1
  end
end
return different
