#!lua flags=allow-cross-slot-keys
-- Mark the partitions of `fanout` for which timelines are as new as the workers expect.
--
-- KEYS     none, or the only key that the call uses; all are keys of this server
-- ARGV     for each group of timelines: the key of its partitions that are verified since this start of
--          the server; their number; and for each its checkpoint's key, the partition, and the expected
--          checkpoint
-- returns  the partitions whose checkpoint is another or missing, once for each group
--
-- Atomic, because a server that is replaced between the comparison and the mark would
-- otherwise be marked without a comparison.

local different = {}
local at = 1
while at <= #ARGV do
  local verified, last = ARGV[at], at + 1 + 3 * ARGV[at + 1]
  for checkpoint = at + 2, last, 3 do
    local partition, expected = ARGV[checkpoint + 1], ARGV[checkpoint + 2]
    if redis.call('GET', ARGV[checkpoint]) == expected then
      redis.call('HSETNX', verified, partition, expected)
    else
      different[#different + 1] = partition
    end
  end
  at = last + 1
end
return different
