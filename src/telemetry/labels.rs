//! The closed sets of label values: what a metric can be told apart by is known before the first request.

/// A closed set of values of one label.
pub(super) trait Label: Copy + 'static {
    /// Every value, in the order of the variants.
    const ALL: &'static [Self];

    fn as_str(self) -> &'static str;

    /// The place of this value in [`Self::ALL`].
    fn index(self) -> usize;
}

/// Declares a label once, so that no value can be missing from its list.
macro_rules! label {
    ($(#[$about:meta])* $name:ident { $($(#[$what:meta])* $variant:ident => $text:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum $name {
            $($(#[$what])* $variant,)+
        }

        impl $name {
            /// The value as metrics and logs spell it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl Label for $name {
            const ALL: &'static [Self] = &[$(Self::$variant,)+];

            fn as_str(self) -> &'static str {
                Self::as_str(self)
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

label! {
    /// What became of a request.
    Outcome {
        /// It was permitted and could not be carried out: the service or the client failed.
        Error => "error",
        Permit => "permit",
        Refuse => "refuse",
    }
}

label! {
    /// The class of the status that the client got.
    Class {
        Informational => "1xx",
        Success => "2xx",
        Redirection => "3xx",
        ClientError => "4xx",
        ServerError => "5xx",
        /// No answer was sent: the client had gone.
        None => "none",
    }
}

impl Class {
    /// The class of `status`; zero, and whatever is no status, has none.
    pub fn of(status: u16) -> Self {
        match status / 100 {
            1 => Self::Informational,
            2 => Self::Success,
            3 => Self::Redirection,
            4 => Self::ClientError,
            5 => Self::ServerError,
            _ => Self::None,
        }
    }
}

label! {
    /// How it was found out who asks.
    Lookup {
        /// From the cache.
        Hit => "hit",
        /// Nothing usable was cached: Kratos was asked.
        Miss => "miss",
        /// A refusal that was cached a moment ago.
        Negative => "negative",
        /// From the cache, while a newer answer was asked for in the background.
        Refreshed => "refreshed",
        /// Another request was asking already; its answer was waited for.
        Shared => "shared",
        /// From the cache, past its time, because Kratos is away.
        Stale => "stale",
        /// Kratos could not be asked.
        Unavailable => "unavailable",
    }
}

label! {
    /// What came of a question to a service that decides.
    Asked {
        Answered => "answered",
        /// From the cache.
        Cached => "cached",
        /// No answer, or a failing one.
        Failed => "failed",
        /// It was away a moment ago.
        NotAsked => "not_asked",
    }
}

label! {
    /// What became of a token.
    TokenCheck {
        /// It was found good a while ago.
        Cached => "cached",
        Invalid => "invalid",
        /// Its issuer, or the keys, could not be asked for.
        Unavailable => "unavailable",
        Valid => "valid",
    }
}

label! {
    /// How one whoami call ended.
    Whoami {
        /// 401.
        Rejected => "rejected",
        /// A 5xx status.
        ServerError => "server_error",
        /// 200, with a session.
        Session => "session",
        /// 403: a second factor is demanded.
        StepUp => "step_up",
        /// 429.
        Throttled => "throttled",
        TimedOut => "timed_out",
        /// An answer that is none: another status, or a body that is no session.
        Unexpected => "unexpected",
        /// No connection.
        Unreachable => "unreachable",
    }
}

label! {
    /// Why sessions were forgotten.
    RevocationCause {
        /// A sign-in set a new session.
        Login => "login",
        Logout => "logout",
        /// `POST /sessions/forget` on the operators' listener.
        Operator => "operator",
        /// Kratos said 401 to a whoami call that passed through.
        Rejected => "rejected",
        /// Any other self-service request that may end or change a session.
        SelfService => "self_service",
        /// `DELETE /sessions/{id}`.
        SessionDeleted => "session_deleted",
        /// `DELETE /sessions`.
        SessionsDeleted => "sessions_deleted",
        Settings => "settings",
    }
}

label! {
    /// How a reload of the configuration ended.
    ReloadOutcome {
        /// The new configuration is in force.
        Done => "success",
        /// The old configuration stays in force.
        Failed => "failure",
    }
}

label! {
    /// What went wrong with a service.
    UpstreamError {
        Connect => "connect",
        ConnectTimeout => "connect_timeout",
        /// Anything that is none of the others.
        Other => "other",
        /// It broke off or answered what is no HTTP.
        Read => "read",
        ReadTimeout => "read_timeout",
        Tls => "tls",
        Write => "write",
        WriteTimeout => "write_timeout",
    }
}

label! {
    /// What the engine refused before there was a request.
    ConnectionError {
        /// What came is no HTTP, or nothing that the engine takes.
        BadHead => "bad_head",
        /// The client went before its head was complete.
        Closed => "closed",
        /// The head is longer than the engine takes.
        HeadTooLarge => "head_too_large",
        Other => "other",
        /// The head was not complete in time.
        TimedOut => "timed_out",
        Tls => "tls",
    }
}
