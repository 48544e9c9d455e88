//! The configuration compiler: text in, valid types or every fault at once out.
