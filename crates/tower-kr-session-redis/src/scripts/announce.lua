-- Announces that a record is about to carry this owner, unless the sign-in was revoked since it was
-- checked. Replies with the number of revocations, when the last one was (empty: never), the entry,
-- the entry from before, and some entries (id and text) that may be out of date.

local key, id, state, now, nonce, authenticated_at, deadline, cursor = KEYS[1], unpack(ARGV)

-- So many entries are sampled, and are replied at most.
local SAMPLE = 16

if is_too_old(key, authenticated_at) then
  return {'revoked'}
end
local count, previous = count_revocations(key), redis.call('HGET', key, id)
local entry = string.format('%d:%s:%s:%s', count, state, now, nonce)
redis.call('HSET', key, id, entry)
keep(key, tonumber(deadline) - tonumber(now))

local reply = {'announced', tostring(count), redis.call('HGET', key, 'not_before') or '', entry, previous or ''}
local sample = redis.call('HSCAN', key, cursor, 'COUNT', SAMPLE)[2]
for position = 1, #sample, 2 do
  local other, text = sample[position], sample[position + 1]
  if #reply < 5 + 2 * SAMPLE and is_entry(other) and other ~= id then
    local written, kind, time = parts(text)
    local lasts = kind == 'until' and 0 or ON_ITS_WAY
    if not written or written < count or tonumber(time) + lasts <= tonumber(now) then
      reply[#reply + 1] = other
      reply[#reply + 1] = text
    end
  end
end
return reply
