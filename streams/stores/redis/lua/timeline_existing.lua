#!lua flags=no-writes,allow-cross-slot-keys
-- Return the owners who have a timeline.
--
-- KEYS     none, or the only key that the call uses; all are keys of this server
-- ARGV     in turns: the prefix of keys of timelines, and owners, packed 8-byte ids; at most 1,000 in all
-- returns  the owners who have one, packed
--
-- Cost: one command an owner. One script, because one round trip an owner would cost ten times that.

local existing = {}

for argument = 1, #ARGV, 2 do
  local prefix, owners = ARGV[argument], ARGV[argument + 1]
  for at = 1, #owners, 8 do
    local owner = string.sub(owners, at, at + 7)
    if redis.call('EXISTS', prefix .. owner) == 1 then
      existing[#existing + 1] = owner
    end
  end
end

return table.concat(existing)
