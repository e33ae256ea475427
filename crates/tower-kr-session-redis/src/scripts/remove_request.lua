-- What `remove` is asked: the secret of the token's holder, or none; the owner that the record must
-- have, or none; and whether a record without an owner is removed too (`1`) or not (`0`).

local key, secret, owner, ownerless = KEYS[1], ARGV[2], ARGV[3], ARGV[4]
local first_contact, now = struct.unpack('<dd', ARGV[1])
local found = redis.pcall('HMGET', key, 'head', 'life', 'owner')
