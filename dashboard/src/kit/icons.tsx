/** The few pictures that are used, drawn on a 16 × 16 grid in the current colour. Always beside a word. */
import type { ReactNode } from 'react';

interface IconProps {
  size?: number;
}

function Icon({ size = 16, children }: IconProps & { children: ReactNode }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.6"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
      style={{ flex: 'none', display: 'block' }}
    >
      {children}
    </svg>
  );
}

const drawn = (paths: ReactNode) =>
  function Drawn(props: IconProps) {
    return <Icon {...props}>{paths}</Icon>;
  };

const knocked = { stroke: 'var(--icon-hole, var(--surface))', strokeWidth: 1.8 };

export const OkIcon = drawn(
  <>
    <circle cx="8" cy="8" r="6.5" fill="currentColor" />
    <path d="M5 8.3l2.1 2.1L11 6" style={knocked} />
  </>,
);
export const FailedIcon = drawn(
  <>
    <path d="M5.3 1.5h5.4l3.8 3.8v5.4l-3.8 3.8H5.3l-3.8-3.8V5.3z" fill="currentColor" />
    <path d="M5.8 5.8l4.4 4.4M10.2 5.8l-4.4 4.4" style={knocked} />
  </>,
);
export const AttentionIcon = drawn(
  <>
    <path d="M8 1.8l6.6 12H1.4z" fill="currentColor" />
    <path d="M8 6.3v3.4M8 11.7v.1" style={knocked} />
  </>,
);
export const UpdatingIcon = drawn(
  <>
    <path d="M13.5 6.5A5.8 5.8 0 0 0 3.2 4.8M2.5 9.5a5.8 5.8 0 0 0 10.3 1.7" />
    <path d="M3 1.8v3.2h3.2M13 14.2V11H9.8" />
  </>,
);
export const ParkedIcon = drawn(
  <>
    <rect x="1.8" y="1.8" width="12.4" height="12.4" rx="2.5" fill="currentColor" />
    <path d="M6.3 11.6V4.6h2.3a2.1 2.1 0 0 1 0 4.3H6.3" style={knocked} />
  </>,
);
export const LostIcon = drawn(<circle cx="8" cy="8" r="6.3" strokeDasharray="2.6 2.35" strokeLinecap="butt" />);
export const UnknownIcon = drawn(
  <>
    <circle cx="8" cy="8" r="6.5" />
    <path d="M6.1 6.3a1.9 1.9 0 1 1 2.7 1.8c-.6.3-.8.6-.8 1.2M8 11.5v.1" />
  </>,
);

export const InfoIcon = drawn(
  <>
    <circle cx="8" cy="8" r="6.5" />
    <path d="M8 7.4v3.6M8 4.9v.1" />
  </>,
);
export const DebugIcon = drawn(<circle cx="8" cy="8" r="2.2" fill="currentColor" />);
export const CriticalIcon = drawn(
  <>
    <path d="M8 1.2L14.8 8 8 14.8 1.2 8z" fill="currentColor" />
    <path d="M8 4.9v3.7M8 11v.1" style={knocked} />
  </>,
);
export const ChargingIcon = drawn(<path d="M9 1.5L3.5 9H8l-1 5.5L12.5 7H8z" fill="currentColor" strokeWidth="1" />);
export const ColumnsIcon = drawn(<path d="M2 2.5h12v11H2zM6 2.5v11M10 2.5v11" />);
export const SearchIcon = drawn(
  <>
    <circle cx="7" cy="7" r="4.5" />
    <path d="M10.5 10.5L14 14" />
  </>,
);
export const CloseIcon = drawn(<path d="M4 4l8 8M12 4l-8 8" />);
export const UpIcon = drawn(<path d="M8 13V3M4 7l4-4 4 4" />);
export const DownIcon = drawn(<path d="M8 3v10M4 9l4 4 4-4" />);
export const LeftIcon = drawn(<path d="M10 3L5 8l5 5" />);
export const RightIcon = drawn(<path d="M6 3l5 5-5 5" />);
export const PreviousIcon = drawn(<path d="M12 3L6 8l6 5zM3.5 3v10" fill="currentColor" />);
export const NextIcon = drawn(<path d="M4 3l6 5-6 5zM12.5 3v10" fill="currentColor" />);
export const PlayIcon = drawn(<path d="M4.5 2.5l8.5 5.5-8.5 5.5z" fill="currentColor" />);
export const PauseIcon = drawn(<path d="M5 3v10M11 3v10" strokeWidth="3" />);
export const HistoryIcon = drawn(
  <>
    <path d="M2.3 6.5A6 6 0 1 1 2 8.5" />
    <path d="M2 2.8v3.7h3.7M8 4.8V8l2.4 1.5" />
  </>,
);
export const LiveIcon = drawn(<circle cx="8" cy="8" r="4.5" fill="currentColor" />);
export const EditIcon = drawn(<path d="M2.5 13.5l.7-3L10.7 3l2.3 2.3-7.5 7.5zM9.3 4.4l2.3 2.3" />);
export const PlusIcon = drawn(<path d="M8 3v10M3 8h10" />);
export const SunIcon = drawn(
  <>
    <circle cx="8" cy="8" r="3" />
    <path d="M8 1.2v1.5M8 13.3v1.5M1.2 8h1.5M13.3 8h1.5M3.2 3.2l1 1M11.8 11.8l1 1M3.2 12.8l1-1M11.8 4.2l1-1" />
  </>,
);
export const MoonIcon = drawn(<path d="M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7z" />);
export const AutoIcon = drawn(
  <>
    <circle cx="8" cy="8" r="6.3" />
    <path d="M8 1.7a6.3 6.3 0 0 1 0 12.6z" fill="currentColor" />
  </>,
);
export const KeyboardIcon = drawn(
  <>
    <rect x="1.5" y="3.8" width="13" height="8.5" rx="1.5" />
    <path d="M4 6.5h.1M6.7 6.5h.1M9.3 6.5h.1M12 6.5h.1M5 9.6h6" />
  </>,
);
export const UnpluggedIcon = drawn(<path d="M5.5 9.5L2 13M10.5 5.5L14 2M6 5l5 5-1.3 1.3a3 3 0 0 1-4.3 0l-.7-.7a3 3 0 0 1 0-4.3zM2 2l12 12" />);
/** A hand's width of red: what stops. */
export const StopIcon = drawn(<rect x="2.5" y="2.5" width="11" height="11" rx="1.5" fill="currentColor" />);
export const PersonIcon = drawn(
  <>
    <circle cx="8" cy="5.2" r="2.9" />
    <path d="M2.6 14a5.6 5.6 0 0 1 10.8 0" />
  </>,
);
/** Somebody besides the first. */
export const SecondPersonIcon = drawn(
  <>
    <circle cx="5.6" cy="5.6" r="2.5" />
    <path d="M1.2 13.6a4.5 4.5 0 0 1 8.8 0" />
    <path d="M10.4 3.2a2.5 2.5 0 0 1 0 4.8M12 9.7a4.5 4.5 0 0 1 2.8 3.9" />
  </>,
);
export const LockIcon = drawn(
  <>
    <rect x="3" y="7" width="10" height="7.2" rx="1.5" />
    <path d="M5.3 7V4.8a2.7 2.7 0 0 1 5.4 0V7" />
  </>,
);
export const UnlockedIcon = drawn(
  <>
    <rect x="3" y="7" width="10" height="7.2" rx="1.5" />
    <path d="M5.3 7V4.3A2.7 2.7 0 0 1 10.5 3.4" />
  </>,
);
export const CopyIcon = drawn(
  <>
    <rect x="5.5" y="5.5" width="8.5" height="8.5" rx="1.2" />
    <path d="M10.5 3.2V2H2v8.5h1.2" />
  </>,
);
export const HelpIcon = UnknownIcon;
