-- Asks Portcullis whether a request may pass, for haproxy.cfg: 200 lets it, whatever else is the answer for the client,
-- and without an answer nobody passes.

local DECISIONS = "http://127.0.0.1:4458/decisions"

-- What concerns this connection, or says of which request there is talk: that is said below.
local OWN = {
    ["connection"] = true, ["content-length"] = true, ["expect"] = true, ["host"] = true, ["keep-alive"] = true,
    ["te"] = true, ["trailer"] = true, ["transfer-encoding"] = true, ["upgrade"] = true,
}

local function is_own(name)
    return OWN[name] or name:find("^x%-forwarded%-") or name:find("^x%-original%-")
end

local function values(list)
    local all = {}
    local index = 0
    while list[index] do
        table.insert(all, list[index])
        index = index + 1
    end
    return all
end

local function refuse(txn, status, headers, body)
    local reply = txn:reply()
    reply:set_status(status)
    for name, list in pairs(headers) do
        if not OWN[name] then
            for _, value in pairs(list) do
                reply:add_header(name, value)
            end
        end
    end
    reply:set_body(body or "")
    txn:done(reply)
end

core.register_action("portcullis", { "http-req" }, function(txn, names)
    local headers = {}
    for name, list in pairs(txn.http:req_get_headers()) do
        if not is_own(name) then
            headers[name] = values(list)
        end
    end
    local host = txn.sf:req_hdr("host")
    headers["x-forwarded-method"] = { txn.sf:method() }
    headers["x-forwarded-proto"] = { txn.f:ssl_fc() == 1 and "https" or "http" }
    headers["x-forwarded-host"] = { host }
    headers["x-forwarded-uri"] = { txn.sf:url() }
    headers["x-forwarded-for"] = { tostring(txn.f:src()) }

    local answer = core.httpclient():get({ url = DECISIONS, headers = headers })
    if not answer or not answer.status or answer.status == 0 then
        return refuse(txn, 503, { ["retry-after"] = { "1" } }, "")
    end
    if answer.status ~= 200 then
        return refuse(txn, answer.status, answer.headers or {}, answer.body)
    end
    for name in names:gmatch("[^,%s]+") do
        txn.http:req_del_header(name)
        local said = answer.headers[name:lower()]
        if said and said[0] then
            txn.http:req_set_header(name, said[0])
        end
    end
    for _, list in pairs({ answer.headers["x-portcullis-remove"] or {} }) do
        for name in (list[0] or ""):gmatch("[^,%s]+") do
            -- What was set above stays: Portcullis lists only what it does not set.
            txn.http:req_del_header(name)
        end
    end
    local renewed = answer.headers["set-cookie"]
    if renewed and renewed[0] then
        txn:set_var("txn.renewed", renewed[0])
    end
    txn:set_var("txn.permitted", true)
end, 1)
