// What Kratos' web hook tells the gateway: whose sessions to forget. See web-hook.yaml.
function(ctx) { identity: ctx.identity.id }
