-- Store the checkpoint of a partition of `fanout`.
--
-- KEYS[1]  the partition's checkpoint
-- ARGV[1]  the expected checkpoint, or '' if none is expected
-- ARGV[2]  the new checkpoint: the next offset to apply
-- returns  1 if stored; 0 if the checkpoint is another, because this Redis was lost or came back older
--
-- Atomic, because a write without the comparison would hide that records are missing.

local stored = redis.call('GET', KEYS[1])
if (stored or '') ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2])
return 1
