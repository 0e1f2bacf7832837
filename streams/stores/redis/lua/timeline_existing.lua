-- Return the owners who have a timeline.
--
-- KEYS[1]  any timeline's key, so that the call reaches a node (not used)
-- ARGV[1]  prefix of timeline keys
-- ARGV[2]  owners, packed 8-byte ids, at most 1,000 of them
-- returns  the owners who have one, packed
--
-- Cost: one command an owner. One script, because one round trip an owner would cost ten times that.

local prefix, owners = ARGV[1], ARGV[2]
local existing = {}

for at = 1, #owners, 8 do
  local owner = string.sub(owners, at, at + 7)
  if redis.call('EXISTS', prefix .. owner) == 1 then
    existing[#existing + 1] = owner
  end
end

return table.concat(existing)
