#!lua flags=allow-cross-slot-keys
-- Find the lowest checkpoint that groups of timelines have of each partition of `fanout`.
--
-- KEYS     none; all are keys of this server
-- ARGV[1]  the prefix of keys of checkpoints
-- ARGV[2]  how many partitions follow; then the partitions, then the groups' tags
-- returns  the lowest checkpoint of each partition; '' if a group has none
--
-- One script, because each process of the API asks every second: a reply for each group and partition
-- would cost the process several milliseconds. Cost: one GET for each of them.

local prefix, partitions = ARGV[1], tonumber(ARGV[2])
local lowest = {}
for at = 3, partitions + 2 do
  local least = false
  for tag = partitions + 3, #ARGV do
    local stored = redis.call('GET', prefix .. ARGV[tag] .. ARGV[at])
    if not stored then
      least = false
      break
    end
    if not least or tonumber(stored) < tonumber(least) then
      least = stored
    end
  end
  lowest[#lowest + 1] = least or ''
end
return lowest
