-- Say which partitions of `fanout` this Redis is as new as the workers know.
--
-- KEYS[1]  the partitions verified for this start of the server
-- KEYS[2…] notes of partitions
-- ARGV     for each note its partition and what it is expected to be
-- returns  the partitions whose note is another, or missing
--
-- Atomic, because a server that is replaced between the look and the mark would be
-- called verified without a look.

local moved = {}
for i = 2, #KEYS do
  local partition, expected = ARGV[2 * i - 3], ARGV[2 * i - 2]
  if redis.call('GET', KEYS[i]) == expected then
    redis.call('HSET', KEYS[1], partition, expected)
  else
    moved[#moved + 1] = partition
  end
end
return moved
