-- Removes a record. The right secret ends it however old it looks: the clock that says so may be
-- ahead.

if owner ~= '' and (found[3] or owner) ~= owner or ownerless == '0' and not found[3] then
  return {'spared'}
end
redis.call('DEL', key)
return {(alive or secret ~= '') and 'removed' or 'missing', found[3] or ''}
