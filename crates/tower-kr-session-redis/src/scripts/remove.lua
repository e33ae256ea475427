-- Removes a record: the token's holder with his secret; without one, anybody (only the owner's or nobody's, if one is named).

local key, secret, first_contact, now, owner = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local record, refusal = read(key)
if not record then
  return refusal
end
local outcome
if secret ~= '' then
  outcome = standing(record, secret, first_contact, now)
  if outcome ~= 'admitted' then
    return {outcome}
  end
  outcome = 'removed'
elseif owner ~= '' and record.owner and record.owner ~= owner then
  return {'other_owner'}
else
  outcome = is_expired(record, first_contact, now) and 'missing' or 'removed'
end
redis.call('DEL', key)
return {outcome, record.owner or ''}
