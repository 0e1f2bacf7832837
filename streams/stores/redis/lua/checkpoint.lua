-- Note how far a partition of `fanout` has been applied to this Redis.
--
-- KEYS[1]  the partition's note
-- ARGV[1]  what the note is expected to be, or '' for none
-- ARGV[2]  the next offset to apply
-- returns  1 when noted, 0 when the note was another: this Redis was lost or came back older
--
-- Atomic, because a blind write would hide the records that are missing.

local stored = redis.call('GET', KEYS[1])
if (stored or '') ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2])
return 1
